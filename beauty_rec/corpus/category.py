from typing import NamedTuple
class Category(NamedTuple):
    name: str|None; source: str
def categorize(t,f,d): return Category(None,"none")

"""The items as people see them: cards, filters, items that are given while serving."""

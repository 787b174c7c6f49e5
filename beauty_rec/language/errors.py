"""What can go wrong between us and a language model, by what it is about."""


class BadAnswer(ValueError):
    """An answer breaks the schema or a rule; the message says how, in our own words."""


class BadRequest(ValueError):
    """A server refuses this one request (400): another try will not help."""


class ServerProblem(ConnectionError):
    """The servers cannot be used as they are given; the message names the remedy."""


class Stopped(RuntimeError):
    """The reading stopped before its end; what was answered is kept, the next run goes on."""


class BudgetSpent(Stopped):
    """The budget of requests or tokens is used up."""


class TooManyRefused(Stopped):
    """So many answers failed that something is wrong with model, prompt or server."""

"""The language model: what it is asked, how, and how far its answers are believed.

A :class:`~beauty_rec.language.reader.Reader` sends questions to servers of the OpenAI API and keeps
what they answer, so that nothing is asked twice.
"""

"""What can be asked for, one function each; pages and commands call the same.

Every function takes the `Work` it is part of and, where it touches what belongs to somebody, the
`Actor` who asks: loaders refuse what is not the actor's. No service commits; the caller does.
"""

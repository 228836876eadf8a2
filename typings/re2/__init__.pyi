"""The part of google-re2 that is used here; the package has no types of its own."""

class error(Exception): ...

class Options:
    max_mem: int
    log_errors: bool

class Pattern:
    def search(self, text: str) -> object | None: ...

def compile(pattern: str, options: Options | None = ...) -> Pattern: ...

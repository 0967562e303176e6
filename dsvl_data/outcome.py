"""What can become of a document: the closed vocabulary of outcomes and reasons.

Every document ends with one `Outcome`; every one that is not kept has a `Reason` from the
list below, and so has every item inside a document (a figure, a page, a question) that did
not become a sample. The ledger, `status` and `retry --reason` speak these words and no others.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Outcome(StrEnum):
    """The five ends of a document; `in = kept + filtered + duplicate + quarantined + pending`."""

    KEPT = "kept"
    FILTERED = "filtered"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    PENDING = "pending"


class Reason(Enum):
    """Why something was not kept: `NAME = (outcome, meaning)`; the ledger holds `str(reason)`."""

    # Filtered: sound input that we do not want.
    NO_CODE_CELLS = (Outcome.FILTERED, "a notebook without code cells")
    NO_FIGURE = (Outcome.FILTERED, "a notebook without a figure in its outputs")
    TOO_FEW_LINES = (Outcome.FILTERED, "fewer code lines than the recipe asks for")
    SEVERAL_IMAGES = (Outcome.FILTERED, "a cell with more than one image")
    BLANK_IMAGE = (Outcome.FILTERED, "an image with (nearly) one colour only")
    IMAGE_TOO_SMALL = (Outcome.FILTERED, "an image smaller than the recipe asks for")
    IMAGE_RATIO = (Outcome.FILTERED, "an image far wider than high, or higher than wide: a rule")
    BROKEN_IMAGE = (Outcome.FILTERED, "an image of the sample does not decode any more")
    PLAIN_IMAGE = (Outcome.FILTERED, "an image of few levels of grey: its entropy is too low")
    FEW_COLOURS = (Outcome.FILTERED, "an image of fewer colours than the recipe asks for")
    BLURRED_IMAGE = (Outcome.FILTERED, "an image without a sharp edge")
    REPEATED_IMAGE = (Outcome.FILTERED, "an image of many pages of its input: a logo, an ornament")
    HTML_TABLE = (Outcome.FILTERED, "an HTML table where tables are not asked for")
    ERROR_OUTPUT = (Outcome.FILTERED, "a cell whose output is a traceback")
    NO_TEXT = (Outcome.FILTERED, "a page or chapter that shows pictures only, or too little text")
    NO_PICTURE = (Outcome.FILTERED, "a document without a picture, where pictures belong")
    HELD_OUT = (Outcome.FILTERED, "a record that its publisher keeps for testing")
    LOW_SIMILARITY = (
        Outcome.FILTERED,
        "a picture that matches its text less than the recipe asks for",
    )
    TEXT_TOO_LONG = (Outcome.FILTERED, "more characters or tokens than the recipe asks for")
    ILLEGIBLE = (Outcome.FILTERED, "an image with more illegible text than the recipe allows")
    FIXED_LAYOUT = (Outcome.FILTERED, "a fixed-layout book: comics, picture books")
    NAVIGATION = (Outcome.FILTERED, "a table of contents, an index or a cover")
    EMPTY_DOCUMENT = (Outcome.FILTERED, "a document with nothing in it")
    WITHDRAWN = (Outcome.FILTERED, "an article that its authors have withdrawn")
    PDF_ONLY = (Outcome.FILTERED, "an article that was submitted without its source")
    NO_PDF = (Outcome.FILTERED, "an article whose PDF is not among the input")
    NO_SOURCE = (Outcome.FILTERED, "an article whose source is no LaTeX, or has no main file")
    BESIDE_ARTICLE = (
        Outcome.FILTERED,
        "a file beside the article: a letter, a rebuttal, slides, another paper",
    )
    NO_CHART = (Outcome.FILTERED, "a table that no kind of chart fits")
    CROWDED = (Outcome.FILTERED, "a picture whose labels overlap or are cut off")
    LICENCE = (Outcome.FILTERED, "a licence that is not among those the recipe keeps")
    UNKNOWN_LICENCE = (Outcome.FILTERED, "no licence is stated, where the recipe asks for one")
    LANGUAGE = (Outcome.FILTERED, "a language that is not among those the recipe keeps")
    LANGUAGE_UNSURE = (
        Outcome.FILTERED,
        "a text whose language the model is less sure of than the recipe asks for",
    )
    WORD_COUNT = (Outcome.FILTERED, "fewer or more words of prose than the recipe asks for")
    WORD_LENGTH = (Outcome.FILTERED, "words that are too short or too long, as prose goes")
    SYMBOLS = (Outcome.FILTERED, "too many hashes, ellipses, digits or symbols in the prose")
    BULLET_LINES = (Outcome.FILTERED, "nearly nothing but items of lists")
    ELLIPSIS_LINES = (Outcome.FILTERED, "too many lines that break off with an ellipsis")
    NO_WORDS = (Outcome.FILTERED, "too many words without a letter")
    STOP_WORDS = (Outcome.FILTERED, "too few of the commonest words of its language")
    REPEATED_LINES = (Outcome.FILTERED, "lines or paragraphs that say again what others say")
    REPEATED_NGRAMS = (Outcome.FILTERED, "sequences of words that come again and again")
    FRAGMENTS = (Outcome.FILTERED, "too few lines that are sentences")
    BOILERPLATE = (Outcome.FILTERED, "lines about cookies, terms or Javascript; filler text")
    CURLY_BRACKETS = (Outcome.FILTERED, "curly brackets in the prose: a template, a program")
    OCR_GARBAGE = (Outcome.FILTERED, "too much that a failed character recognition leaves")
    LOW_QUALITY = (Outcome.FILTERED, "a quality model thinks less of it than the recipe asks for")
    PERPLEXITY = (Outcome.FILTERED, "a language model finds it too strange, or too plain")
    CONTAMINATED = (
        Outcome.FILTERED,
        "shares a run of words or an image with a benchmark that the recipe names",
    )
    TEXT_TOO_SHORT = (Outcome.FILTERED, "fewer characters than the recipe asks for")
    NOT_CHOSEN = (Outcome.FILTERED, "a conversation that the recipe's mix does not name")

    # Duplicates: as good as another sample, which is kept and named.
    DUPLICATE_PAIR = (Outcome.DUPLICATE, "the text and the images of another sample")
    DUPLICATE_TEXT = (Outcome.DUPLICATE, "the text of another sample, in normal form")
    DUPLICATE_IMAGE = (Outcome.DUPLICATE, "the images of another sample, byte for byte")
    NEAR_DUPLICATE_TEXT = (Outcome.DUPLICATE, "nearly the text of another sample")
    NEAR_DUPLICATE_IMAGE = (
        Outcome.DUPLICATE,
        "nearly the images of another sample, and its text where the recipe asks for that too",
    )

    # Quarantined: broken or hostile input, or a failure of ours.
    TIMEOUT = (Outcome.QUARANTINED, "took longer than the pipeline's time limit")
    MEMORY = (Outcome.QUARANTINED, "took more memory than the pipeline's limit")
    CRASHED = (Outcome.QUARANTINED, "its worker process died")
    BROWSER_CRASHED = (Outcome.QUARANTINED, "the browser that rendered it died")
    UNREADABLE = (Outcome.QUARANTINED, "its bytes could not be read from where they lie")
    TOO_LARGE = (Outcome.QUARANTINED, "more bytes than the pipeline's limit")
    BAD_ARCHIVE = (Outcome.QUARANTINED, "a truncated or damaged archive")
    ARCHIVE_BOMB = (Outcome.QUARANTINED, "an archive that would unpack to far more than it should")
    UNSAFE_PATH = (Outcome.QUARANTINED, "a path or link that leads out of its archive or folder")
    XML_ENTITIES = (Outcome.QUARANTINED, "XML that declares entities")
    BAD_MARKUP = (Outcome.QUARANTINED, "XML or HTML that cannot be parsed")
    BAD_JSON = (Outcome.QUARANTINED, "invalid JSON, or JSON of another shape than the format's")
    BAD_TABLE = (Outcome.QUARANTINED, "rows that do not fit their header, or no plain values")
    BAD_ENCODING = (Outcome.QUARANTINED, "bytes that are no text in any known encoding")
    BAD_RECORD = (Outcome.QUARANTINED, "a record with fields missing or of a wrong type")
    ODD_ROLE = (
        Outcome.QUARANTINED,
        "a turn of somebody who is neither system, nor user, nor assistant",
    )
    EMPTY_TURN = (Outcome.QUARANTINED, "a turn of a conversation with nothing in it")
    TURN_ORDER = (
        Outcome.QUARANTINED,
        "turns of one side in a row, or other than question and answer by turns",
    )
    IMAGE_COUNT = (
        Outcome.QUARANTINED,
        "the images of a conversation and the places for them in its turns differ in number",
    )
    IMAGE_IN_ANSWER = (
        Outcome.QUARANTINED,
        "an image in an answer or a system prompt, where only text can be",
    )
    UNMATCHED = (Outcome.QUARANTINED, "annotations that point to no record of their file")
    MISSING_FILE = (Outcome.QUARANTINED, "a file that holds part of the record is not there")
    ENCRYPTED = (Outcome.QUARANTINED, "content under encryption (DRM)")
    IMAGE_BOMB = (Outcome.QUARANTINED, "an image with more pixels than the limit")
    BAD_IMAGE = (Outcome.QUARANTINED, "an image that does not decode")
    MISSING_IMAGE = (Outcome.QUARANTINED, "an image that the document names is not there")
    NEEDS_NETWORK = (Outcome.QUARANTINED, "shows nothing without resources from the network")
    BAD_FORMULA = (Outcome.QUARANTINED, "LaTeX that is incomplete, or that nobody can show")
    BAD_QUESTION = (
        Outcome.QUARANTINED,
        "a question without a stem, or with fields of a wrong type",
    )
    LATEX_FATAL = (Outcome.QUARANTINED, "LaTeXML gave up on the source")
    REPETITION = (Outcome.QUARANTINED, "the Nougat model repeated itself or came to no end")
    BAD_PDF = (Outcome.QUARANTINED, "a PDF that cannot be opened or drawn")
    LATEX_UNDEFINED = (Outcome.QUARANTINED, "the text uses macros that LaTeXML does not know")
    LOW_PRECISION = (Outcome.QUARANTINED, "too many words of the text are not on the page")
    FOREIGN_WORDS = (Outcome.QUARANTINED, "words in the text that the page has nowhere")
    LOW_COVERAGE = (Outcome.QUARANTINED, "too many words of the page are not in the text")
    LOOSE_EDGE = (Outcome.QUARANTINED, "where the page starts or ends in the text is uncertain")
    TORN_BLOCK = (Outcome.QUARANTINED, "the page's end cuts a formula, which Markdown cannot")
    UNRESOLVED_REFERENCE = (Outcome.QUARANTINED, "?? for a number, on the page or in the text")
    HEADING_NUMBER = (Outcome.QUARANTINED, "a heading's number is not the one on the page")
    CAPTION_NUMBER = (Outcome.QUARANTINED, "a caption's number is not the one on the page")
    EQUATION_NUMBER = (Outcome.QUARANTINED, "an equation's number is not the one on the page")
    REFERENCE_NUMBER = (Outcome.QUARANTINED, "another number in the text is not the page's")
    CITATION_STYLE = (Outcome.QUARANTINED, "a citation in another style than the page's")
    MISSING_CAPTION = (Outcome.QUARANTINED, "the page shows a caption that the text lacks")
    MISSING_HEADING = (Outcome.QUARANTINED, "a line in larger or bolder type that the text lacks")
    PROOF_FAILED = (Outcome.QUARANTINED, "the text is not exactly what the image shows")
    ERROR = (Outcome.QUARANTINED, "an error that nobody foresaw; the ledger holds it")

    def __init__(self, outcome: Outcome, meaning: str) -> None:
        self.outcome = outcome
        self.meaning = meaning

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, name: str) -> Reason:
        """Return the reason with this ledger name; `ValueError` lists the right ones."""
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(str(reason) for reason in cls)
            raise ValueError(f"no reason is called {name!r}; the reasons are: {known}") from None


class DocumentError(Exception):
    """Raised by a reader or converter when the whole document fails for a known reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[DocumentError], tuple[Reason, str]]:
        return DocumentError, (self.reason, self.detail)


class WorkerBroken(Exception):
    """Raised by a converter whose own tool died (a browser, say): the document may be innocent.

    The engine gives the document a new worker and another try, alone, before it blames it.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UserError(Exception):
    """What a user did or lacks, told so that they can mend it; shown without a stack trace."""

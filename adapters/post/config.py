"""Settings of the post channel, with the reason for every limit."""

import msgspec

__all__ = ["Company", "PostConfig"]

_MEGABYTE = 1024 * 1024


class Company(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the letters are from and how a person is reached.

    `names` is the tradename per language (`de`, `nb`, `en`); `name` stands for every language without one.
    `address` are the postal lines below the name. `phone`, `email` and `web` are printed at the foot of each letter.
    """

    name: str = ""
    names: dict[str, str] = {}
    address: tuple[str, ...] = ()
    phone: str = ""
    email: str = ""
    web: str = ""

    def name_in(self, language: str) -> str:
        """The tradename for a language."""
        return self.names.get(language) or self.name or next(iter(self.names.values()), "")

    def all_names(self) -> tuple[str, ...]:
        """Every tradename, for telling our own address from the sender's."""
        return tuple(name for name in (self.name, *self.names.values()) if name)


class PostConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Post in (a drop folder of scans) and post out (a tray of finished letters)."""

    account: str = "scanner"
    """Name of the scanner or post room; becomes `Contact.account`."""

    drop_folder: str = ""
    """Where scans arrive. Empty: `post/in` in the data folder."""

    letter_tray: str = ""
    """Where finished letters are put for printing. Empty: `post/out` in the data folder."""

    company: Company = Company()

    time_zone: str = "Europe/Berlin"
    """Of the date on our letters."""

    languages: tuple[str, ...] = ("de", "nb", "en")
    """Languages that customers write in; each needs its recognition model installed."""

    scan_every_s: float = 1.0
    """The folder is listed this often. File events only shorten the wait: network shares send none."""

    stable_s: float = 0.8
    """A file must not change for so long before its structure is looked at. The structure decides; this only keeps a
    file that is being written from being read over and over."""

    doubtful_s: float = 15.0
    """A file that ends properly but has a broken index (sloppy scanner software) is taken after so long unchanged."""

    empty_s: float = 60.0
    """Some scanners create the file first and fill it later. Still empty after so long: a person is told."""

    incomplete_s: float = 1800.0
    """A file that never becomes complete is given to a person after so long without a change."""

    retry_first_s: float = 2.0
    retry_most_s: float = 300.0
    """When the bus cannot take a letter (full, locked), wait so long at first and at most."""

    file_bytes: int = 50 * _MEGABYTE
    """A noisy grey page of 300 dpi is 1.5 MB; 50 MB hold any letter that people write."""

    letter_pages: int = 50
    """More pages than this are no letter but a stack that a person must part."""

    page_pixels: int = 40_000_000
    """A4 at 600 dpi has 35 million pixels; bombs have billions."""

    page_cpu_s: int = 20
    """CPU seconds for each step on a page; an ordinary page needs 3."""

    page_megabytes: int = 1024
    """Address space for each step on a page; an ordinary page needs 300."""

    letter_s: float = 120.0
    """Reading one letter stops after so long; what was read by then counts."""

    ocr_processes: int = 2
    """Pages of one letter that are read at the same time, one core each."""

    letters_at_once: int = 2
    """Letters that are read at the same time."""

    tesseract: str = "tesseract"
    """The text recognition program, by name or path."""

    colour: bool = False
    duplex: bool = True
    """Wishes to the printer, passed on beside each letter."""

    render_s: float = 20.0
    """A letter that is not rendered and checked by then is given to a person; an ordinary one needs 0.2."""

"""What all pages share: the look (`tokens.css`), icons, the live feed, the words in three languages, safe headers.

Pages are plain modules without a build step. Their content security policy allows files of this server only: no
inline script, no inline style, no foreign address, so a customer's text can never become a program.
"""

from bus.web.headers import attachment_headers, page_headers
from bus.web.origin import own_origin
from bus.web.static import page_file, routes, static_files

__all__ = ["attachment_headers", "own_origin", "page_file", "page_headers", "routes", "static_files"]

"""What the page says, in the customer's language."""

__all__ = ["LANGUAGES", "WORDS"]

LANGUAGES = ("de", "nb", "en")

WORDS = {
    "de": {
        "about": "Es geht um Ihren Vorgang {number}.",
        "yes": "Zugleich sagen Sie damit Ja zu dem, was unsere Nachricht zu diesem Vorgang vorschlägt.",
        "button": "Ja, bestätigen",
        "ask_title": "Sind Sie das?",
        "ask_text": "Mit einem Klick bestätigen Sie, dass diese Nachricht bei Ihnen angekommen ist. Erst danach "
        "sprechen wir über Ihre Daten oder bewegen Geld. Wenn Sie uns gar nicht geschrieben haben, schließen Sie "
        "diese Seite einfach.",
        "thanks_title": "Vielen Dank!",
        "thanks_text": "Wir machen jetzt mit Ihrem Anliegen weiter und antworten Ihnen dort, wo Sie uns geschrieben "
        "haben. Diese Seite können Sie schließen.",
        "unknown_title": "Dieser Link gilt nicht mehr",
        "unknown_text": "Vielleicht wurde er beim Kopieren abgeschnitten. Antworten Sie einfach auf unsere "
        "Nachricht, dann schicken wir Ihnen einen neuen.",
        "later_title": "Einen Moment bitte",
        "later_text": "Wir konnten Ihre Bestätigung gerade nicht festhalten. Bitte versuchen Sie es in einer Minute "
        "noch einmal.",
    },
    "nb": {
        "about": "Det gjelder saken din, {number}.",
        "yes": "Samtidig sier du ja til det vi foreslår i meldingen om denne saken.",
        "button": "Ja, bekreft",
        "ask_title": "Er dette deg?",
        "ask_text": "Med ett klikk bekrefter du at meldingen kom fram til deg. Først da snakker vi om opplysningene "
        "dine eller betaler noe tilbake. Har du ikke skrevet til oss, kan du bare lukke siden.",
        "thanks_title": "Tusen takk!",
        "thanks_text": "Nå går vi videre med saken din og svarer deg der du skrev til oss. Du kan lukke denne siden.",
        "unknown_title": "Lenken gjelder ikke lenger",
        "unknown_text": "Kanskje ble den kuttet da du kopierte den. Svar på meldingen vår, så sender vi deg en ny.",
        "later_title": "Et øyeblikk",
        "later_text": "Vi fikk ikke lagret bekreftelsen din akkurat nå. Prøv gjerne igjen om et minutt.",
    },
    "en": {
        "about": "This is about your case {number}.",
        "yes": "It also says yes to what our message about this case proposes.",
        "button": "Yes, confirm",
        "ask_title": "Is this you?",
        "ask_text": "One click confirms that our message reached you. Only then do we talk about your details or move "
        "any money. If you never wrote to us, just close this page.",
        "thanks_title": "Thank you!",
        "thanks_text": "We are carrying on with your request and will answer where you wrote to us. You can close "
        "this page now.",
        "unknown_title": "This link no longer works",
        "unknown_text": "It may have been cut off when it was copied. Just reply to our message and we will send you "
        "a new one.",
        "later_title": "One moment, please",
        "later_text": "We could not save your confirmation just now. Please try again in a minute.",
    },
}

"""Rules above the model, answers to questions, tone, urgency, and what happens when it is not sure."""

from collections.abc import Callable

import pytest

from workers.case.work import Intent, Understanding
from workers.packs import Pack
from workers.triage.model import Prediction
from workers.triage.reading import Reading
from workers.triage.thresholds import FLOOR, Thresholds, choose
from workers.triage.understand import Context, understand

Understand = Callable[..., Understanding]


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Ja, gerne", "de", "yes"),
        ("ja bitte", "de", "yes"),
        ("Ja, bitte erstatten Sie mir den Betrag.", "de", "yes"),
        ("Nein danke.", "de", "no"),
        ("nee", "de", "no"),
        ("nei takk", "nb", "no"),
        ("Ja takk!", "nb", "yes"),
        ("det stemmer", "nb", "yes"),
        ("det stemmer ikke", "nb", "no"),
        ("Yes please", "en", "yes"),
        ("no thanks", "en", "no"),
        ("that's right", "en", "yes"),
        ("That's not right", "en", "no"),
        ("sure, go ahead", "en", "yes"),
    ],
)
def test_answers(understood: Understand, text: str, language: str, answer: str) -> None:
    for pending in ("", "confirm", "tried", "anything-else"):
        assert understood(text, language, live=True, pending=pending).answer == answer


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("that's all, thanks", "en"),
        ("No, that was all, thank you!", "en"),
        ("nothing else", "en"),
        ("Danke, das war's", "de"),
        ("Nein, das war alles. Vielen Dank!", "de"),
        ("nei takk, det var alt", "nb"),
        ("Ikke noe mer, tusen takk", "nb"),
    ],
)
def test_done(understood: Understand, text: str, language: str) -> None:
    found = understood(text, language, live=True, pending="anything-else")
    assert found.done
    assert found.decision == "accept"
    assert found.intent == "talk.thanks_done"


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Jetzt geht es wieder, danke", "de", "yes"),
        ("Das hat leider nichts gebracht", "de", "no"),
        ("Nein, es geht immer noch nicht", "de", "no"),
        ("nå virker den igjen", "nb", "yes"),
        ("den virker fortsatt ikke", "nb", "no"),
        ("it works now!", "en", "yes"),
        ("still the same, no luck", "en", "no"),
    ],
)
def test_whether_a_step_helped(understood: Understand, text: str, language: str, answer: str) -> None:
    assert understood(text, language, live=True, pending="tried").answer == answer


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich will mit einem echten Menschen sprechen", "de"),
        ("Mitarbeiter", "de"),
        ("Kan jeg få snakke med et menneske?", "nb"),
        ("real person please", "en"),
        ("operator", "en"),
        ("can i speak to someone about my broken kettle", "en"),
    ],
)
@pytest.mark.parametrize("pending", ["", "confirm", "proof"])
def test_a_person_is_always_granted(understood: Understand, text: str, language: str, pending: str) -> None:
    found = understood(text, language, live=True, pending=pending)
    assert found.request_person
    assert found.decision == "accept"
    assert found.department == "desk"


@pytest.mark.parametrize("request_", ["person", "callback", "voicemail"])
def test_what_the_channel_asked_for_counts_without_words(understood: Understand, request_: str) -> None:
    found = understood("", "de", live=True, request=request_, pending="confirm")
    assert found.department == "desk"
    assert found.decision == "accept"
    assert found.request_person == (request_ == "person")


def test_a_confirmation_link_stays_with_the_case(understood: Understand) -> None:
    found = understood("", "de", request="confirm", department="billing")
    assert (found.department, found.decision, found.answer) == ("billing", "accept", "yes")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("STOP", ""),
        ("stopp", "nb"),
        ("Bitte keine Werbung mehr", "de"),
        ("Nehmen Sie mich bitte aus Ihrem Verteiler.", "de"),
        ("Jeg vil melde meg av nyhetsbrevet deres", "nb"),
        ("take me off your list", "en"),
        ("Stop sending me these emails", "de"),  # the case speaks German, the customer English
        ("Ich widerspreche der Werbung per Post", "en"),
    ],
)
def test_stop_is_obeyed_in_every_language(understood: Understand, text: str, language: str) -> None:
    found = understood(text, language, pending="confirm")
    assert found.stop_contact
    assert found.intent == "sales.stop_contacting_me"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please stop the parcel, the address is wrong", "en"),
        ("Ich habe keine Mails mehr bekommen", "de"),
        ("Stopp ordren før den sendes", "nb"),
        ("Der Motor stoppt dauernd", "de"),
    ],
)
def test_other_stops_are_no_opt_out(understood: Understand, text: str, language: str) -> None:
    assert not understood(text, language).stop_contact


@pytest.mark.parametrize(
    ("text", "language", "legal", "label"),
    [
        ("Hiermit widerrufe ich den Vertrag über die gelieferte Lampe.", "de", "withdraw", "return.withdraw"),
        ("Jeg ønsker å benytte meg av angreretten.", "nb", "withdraw", "return.withdraw"),
        ("I withdraw from the purchase.", "en", "withdraw", "return.withdraw"),
        ("Ich kündige mein Abo.", "de", "terminate", "account.terminate"),
        ("Jeg sier opp abonnementet.", "nb", "terminate", "account.terminate"),
        ("I want my data erased under GDPR, delete all my data", "en", "privacy", "privacy.erase"),
        ("Auskunft nach Art. 15 DSGVO bitte", "de", "privacy", "privacy.access"),
        ("Meine Kaffeemaschine ist defekt und funktioniert nicht mehr.", "de", "defect", "return.defect"),
    ],
)
def test_legal_acts_are_not_missed(understood: Understand, text: str, language: str, legal: str, label: str) -> None:
    found = understood(text, language)
    assert (found.legal, found.intent) == (legal, label)
    # A right is not lost because the case waits for something else.
    if legal != "defect":
        assert understood(text, language, pending="choice", department="billing").legal == legal


@pytest.mark.parametrize(
    ("text", "language"),
    [("Die Maschine raucht und es sprühen Funken!", "de"), ("It caught fire", "en"), ("Det kommer røyk fra den", "nb")],
)
def test_danger_goes_to_a_person_at_once(understood: Understand, text: str, language: str) -> None:
    found = understood(text, language)
    assert (found.urgency, found.request_person, found.department) == (3, True, "desk")


def test_a_norwegian_four_is_no_fire(understood: Understand) -> None:
    assert understood("Jeg vil ha fire stykker i stedet for to", "nb").urgency < 3


@pytest.mark.parametrize(
    ("text", "language", "tone"),
    [
        ("Wo ist mein Paket?", "de", "calm"),
        ("Ich bin enttäuscht, das Paket fehlt noch.", "de", "upset"),
        ("Das ist eine Frechheit, zum dritten Mal schreibe ich Ihnen!!", "de", "angry"),
        ("WO BLEIBT MEIN GELD!!! Seit Wochen warte ich.", "de", "angry"),
        ("Ich bin nicht sauer, nur neugierig.", "de", "calm"),
        ("Dette er helt uakseptabelt, tredje gang jeg ringer", "nb", "angry"),
        ("THIRD time I call and NOBODY helps!!! I want my money back", "en", "angry"),
        ("you are useless idiots", "en", "abusive"),
        ("dra til helvete", "nb", "abusive"),
        ("Fickt euch", "de", "abusive"),
    ],
)
def test_tone_with_its_reasons(understood: Understand, text: str, language: str, tone: str) -> None:
    found = understood(text, language)
    assert found.tone == tone


def test_who_asked_before_and_is_angry_comes_sooner(understood: Understand) -> None:
    assert understood("Seit Wochen warte ich, unverschämt! Wo ist meine Erstattung?", "de").urgency >= 2


def test_who_writes_by_machine_is_noise(understood: Understand) -> None:
    assert understood("Danke für Ihre Nachricht", "de", automatic=True).intent == "noise.auto_reply"
    assert understood("Ich bin bis Montag nicht im Büro.", "de").intent == "noise.auto_reply"


def test_a_letter_with_salutation_and_signature(understood: Understand) -> None:
    text = (
        "Guten Tag,\n\nich habe mir eben meine Kreditkartenabrechnung angesehen. Die Bestellung SO-10234 steht dort "
        "zweimal mit 49,90 EUR. Bitte schauen Sie sich das an.\n\nMit freundlichen Grüßen\nGrete Ohlsen\nLindenweg 4"
    )
    found = understood(text, subject="Abrechnung")
    assert (found.language, found.department, found.decision) == ("de", "billing", "accept")
    assert found.first("order") == "SO-10234"
    assert found.first("amount") == "4990 EUR"


def test_answers_to_questions_stay_with_the_case(understood: Understand) -> None:
    order = understood("die SO-10412 war das", "de", live=True, pending="fact", about=("order",), department="returns")
    assert (order.department, order.decision, order.first("order")) == ("returns", "accept", "SO-10412")
    code = understood("123 456", "en", live=True, pending="proof", department="billing")
    assert (code.department, code.first("code")) == ("billing", "123456")
    key = understood("1", "nb", live=True, pending="confirm", department="billing", digits="1")
    assert (key.answer, key.department) == ("yes", "billing")
    new = understood("Wann haben Sie am Samstag geöffnet?", "de", live=True, pending="fact", department="billing")
    assert new.intent == "info.opening_hours"
    assert new.department == "support"


def _reading(text: str = "x") -> Reading:
    return Reading(words=text, language="de", language_by="case", entities=(), model_texts=(text,))


def _prediction(**shares: float) -> Prediction:
    labels = {name.replace("__", "."): share for name, share in shares.items()}
    ordered = sorted(labels.items(), key=lambda item: -item[1])
    return Prediction(intents=tuple(Intent(label=k, confidence=v) for k, v in ordered), shares=labels)


THRESHOLDS = Thresholds(by_risk={"information": 0.5, "reversible": 0.6, "money": 0.7, "legal": 0.4})


def test_unsure_asks_on_a_live_channel_and_goes_to_a_person_elsewhere(shop: Pack) -> None:
    unsure = _prediction(order__status=0.45, billing__refund_status=0.35, talk__no=0.05)
    live = understand(_reading(), Context(live=True), unsure, shop, THRESHOLDS)
    assert (live.decision, live.question) == ("ask", ("order.status", "billing.refund_status"))
    mail = understand(_reading(), Context(), unsure, shop, THRESHOLDS)
    assert (mail.decision, mail.question) == ("person", ())
    kept = understand(_reading(), Context(department="returns"), unsure, shop, THRESHOLDS)
    assert kept.department == "returns"


def test_thresholds_rise_with_the_risk(shop: Pack) -> None:
    for share, decision in ((0.65, "person"), (0.75, "accept")):
        money = _prediction(sales__accept_offer=share, sales__decline=0.1)
        assert understand(_reading(), Context(), money, shop, THRESHOLDS).decision == decision
    told = _prediction(info__opening_hours=0.65)
    assert understand(_reading(), Context(), told, shop, THRESHOLDS).decision == "accept"


def test_labels_of_one_procedure_support_each_other(shop: Pack) -> None:
    torn = _prediction(billing__duplicate_charge=0.4, billing__wrong_price=0.35)
    assert understand(_reading(), Context(live=True), torn, shop, THRESHOLDS).decision == "accept"


def test_thresholds_are_chosen_by_the_lower_bound(shop: Pack) -> None:
    label, other = "order.status", "account.access"
    good = [(label, label, 0.9)] * 60
    half = [(label, label, 0.6), (other, label, 0.6)] * 40
    chosen = choose(good + half, shop).by_risk
    assert all(0.6 <= threshold <= 0.9 for threshold in chosen.values())
    assert choose(good, shop).by_risk["money"] == FLOOR
    # Few predictions prove nothing, however right they are.
    assert choose(good[:20], shop).by_risk["money"] > 0.8

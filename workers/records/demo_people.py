"""The demo's cast: invented people with invented numbers, as plain data."""

import msgspec

from workers.records.model import Product

__all__ = ["CUSTOMERS", "PRODUCTS", "DemoCustomer", "DemoOrder"]


class DemoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One purchase of one thing. Days count back from the moment of loading. `charges`: how often it was charged."""

    number: str
    product: str
    total: int
    price: int
    currency: str
    card: str
    placed_days_ago: int
    delivered_days_ago: int | None = None
    expected_days_ago: int | None = None
    state: str = "delivered"
    place: str = "web"
    invoice: str = ""
    receipt: str = ""
    tracking: str = ""
    variant: str = ""
    shelf_price: int = 0
    charges: int = 1
    refunded: int = 0


class DemoCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """One person. `story` says what is wrong, for whoever tries the demo."""

    id: str
    name: str
    language: str
    country: str
    email: str
    phone: str
    address: str
    orders: tuple[DemoOrder, ...]
    story: str
    consent: bool = False


def _product(key: str, category: str, de: str, nb: str, en: str, variants: tuple[str, ...] = ()) -> Product:
    return Product(
        id=key, category=category, names={"de": de, "nb": nb, "en": en}, price={}, variants=variants, stock=25
    )


PRODUCTS = {
    product.id: product
    for product in (
        _product("lamp", "lighting", "Schreibtischlampe", "skrivebordslampe", "desk lamp"),
        _product("anorak", "clothing", "Regenjacke", "regnjakke", "rain jacket", ("S", "M", "L", "XL")),
        _product("teapot", "kitchen", "Teekanne", "tekanne", "teapot"),
        _product("coffee", "coffee_machine", "Kaffeemaschine", "kaffemaskin", "coffee machine"),
        _product("blanket", "textiles", "Wolldecke", "ullteppe", "wool blanket"),
        _product("headphones", "headphones", "Kopfhörer", "hodetelefoner", "headphones"),
        _product("sweater", "clothing", "Strickpullover", "strikkegenser", "knitted jumper", ("S", "M", "L", "XL")),
        _product("kettle", "kitchen", "Wasserkocher", "vannkoker", "kettle"),
        _product("shoes", "clothing", "Laufschuhe", "løpesko", "running shoes", ("38", "39", "40", "41", "42")),
        _product("rug", "textiles", "Teppich", "teppe", "rug"),
    )
}

CUSTOMERS = (
    DemoCustomer(
        id="C-1001", name="Grete Ohlsen", language="de", country="DE", email="grete.ohlsen@kunde.example",
        phone="+49305550101", address="Lindenweg 4\n10969 Berlin",
        story="charged twice on her card; the second charge is the error",
        orders=(
            DemoOrder(
                number="SO-10234", invoice="RE-20234", product="lamp", total=4990, price=4490, currency="EUR",
                card="4411", placed_days_ago=12, delivered_days_ago=8, charges=2,
            ),
        ),
    ),
    DemoCustomer(
        id="C-1002", name="Kari Lunde", language="nb", country="NO", email="kari.lunde@kunde.example",
        phone="+4722550102", address="Storgata 12\n0155 Oslo",
        story="withdraws from her purchase (angrerett), delivered 6 days ago",
        orders=(
            DemoOrder(
                number="SO-10301", invoice="RE-20301", product="anorak", total=124900, price=124900, currency="NOK",
                card="7702", placed_days_ago=10, delivered_days_ago=6, variant="M",
            ),
        ),
    ),
    DemoCustomer(
        id="C-1003", name="Tom Baker", language="en", country="GB", email="tom.baker@customer.example",
        phone="+442079460103", address="8 Mill Lane\nYork YO1 7AB",
        story="shelf price 19.99, charged 24.99 at the till: a difference of 5.00",
        orders=(
            DemoOrder(
                number="SO-10388", receipt="R-77120", product="teapot", total=2499, price=2499, shelf_price=1999,
                currency="GBP", card="9033", placed_days_ago=1, delivered_days_ago=1, place="store",
            ),
        ),
    ),
    DemoCustomer(
        id="C-1004", name="Jonas Weber", language="de", country="DE", email="jonas.weber@kunde.example",
        phone="+49305550144", address="Am Markt 2\n04109 Leipzig",
        story="coffee machine, delivered 40 days ago, does not work",
        orders=(
            DemoOrder(
                number="SO-10412", invoice="RE-20412", product="coffee", total=12900, price=12900, currency="EUR",
                card="1288", placed_days_ago=44, delivered_days_ago=40,
            ),
        ),
    ),
    DemoCustomer(
        id="C-1005", name="Anna Becker", language="de", country="DE", email="anna.becker@kunde.example",
        phone="+49305550105", address="Rosenstraße 19\n50678 Köln", consent=True,
        story="nothing is wrong; may return within the window; agreed to advertising",
        orders=(
            DemoOrder(
                number="SO-10420", invoice="RE-20420", product="blanket", total=7900, price=7900, currency="EUR",
                card="5510", placed_days_ago=14, delivered_days_ago=10,
            ),
        ),
    ),
    DemoCustomer(
        id="C-1006", name="Murat Yılmaz", language="de", country="DE", email="murat.yilmaz@kunde.example",
        phone="+49305550106", address="Hafenallee 7\n28195 Bremen",
        story="would like to return headphones, but the window is over; did not agree to advertising",
        orders=(
            DemoOrder(
                number="SO-10431", invoice="RE-20431", product="headphones", total=8990, price=8990, currency="EUR",
                card="3376", placed_days_ago=66, delivered_days_ago=62,
            ),
        ),
    ),
    DemoCustomer(
        id="C-1007", name="Ingrid Haugen", language="nb", country="NO", email="ingrid.haugen@kunde.example",
        phone="+4722550107", address="Fjellveien 3\n5003 Bergen", consent=True,
        story="jumper in M is too small: exchange for L; agreed to advertising",
        orders=(
            DemoOrder(
                number="SO-10440", invoice="RE-20440", product="sweater", total=89900, price=89900, currency="NOK",
                card="6204", placed_days_ago=8, delivered_days_ago=4, variant="M",
            ),
        ),
    ),
    DemoCustomer(
        id="C-1008", name="Lars Moen", language="nb", country="NO", email="lars.moen@kunde.example",
        phone="+4722550108", address="Kirkegata 21\n7014 Trondheim",
        story="lamp returned and refunded 2 days ago: asks where the money is",
        orders=(
            DemoOrder(
                number="SO-10445", invoice="RE-20445", product="lamp", total=44900, price=44900, currency="NOK",
                card="8817", placed_days_ago=25, delivered_days_ago=20, refunded=44900,
            ),
        ),
    ),
    DemoCustomer(
        id="C-1009", name="Emily Clarke", language="en", country="GB", email="emily.clarke@customer.example",
        phone="+442079460109", address="15 Station Road\nLeeds LS1 4DY", consent=True,
        story="kettle is on its way; agreed to advertising",
        orders=(
            DemoOrder(
                number="SO-10450", invoice="RE-20450", product="kettle", total=3400, price=2950, currency="GBP",
                card="2090", placed_days_ago=2, expected_days_ago=-2, state="shipped", tracking="NL00445566GB",
            ),
        ),
    ),
    DemoCustomer(
        id="C-1010", name="Priya Shah", language="en", country="GB", email="priya.shah@customer.example",
        phone="+442079460110", address="42 Orchard Street\nBristol BS1 5EH",
        story="running shoes, size 39, may be exchanged; did not agree to advertising",
        orders=(
            DemoOrder(
                number="SO-10455", invoice="RE-20455", product="shoes", total=6250, price=6250, currency="GBP",
                card="7141", placed_days_ago=12, delivered_days_ago=9, variant="39",
            ),
        ),
    ),
    DemoCustomer(
        id="C-1011", name="Sabine Krüger", language="de", country="DE", email="sabine.krueger@kunde.example",
        phone="+49305550111", address="Gartenweg 33\n90402 Nürnberg",
        story="two ordinary orders: a rug two days late, a blanket delivered",
        orders=(
            DemoOrder(
                number="SO-10460", invoice="RE-20460", product="rug", total=15900, price=14900, currency="EUR",
                card="6655", placed_days_ago=7, expected_days_ago=2, state="shipped", tracking="NL00778899DE",
            ),
            DemoOrder(
                number="SO-10399", invoice="RE-20399", product="blanket", total=7900, price=7900, currency="EUR",
                card="6655", placed_days_ago=32, delivered_days_ago=28,
            ),
        ),
    ),
)  # fmt: skip

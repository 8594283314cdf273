"""The mapping file: rows of a table become events."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mapping import load, loads
from ingest.sources import read
from schemas.errors import ConfigError
from schemas.event import Rejected

MAPS = Path(__file__).parents[2] / "docs" / "maps"

ORDER = """
id: "cdnow-{order_no}"
type: order.paid
source: cdnow
time: {column: date, format: "%Y%m%d", timezone: UTC}
identifiers: {external_id: {column: customer}}
data:
  order_id: {column: order_no}
  amount: {column: dollars}
  currency: USD
  items:
    - {sku: CD, quantity: {column: cds}, unit_price: {column: dollars}}
"""
ORDERS = "order_no,customer,date,cds,dollars\n1,00004,19970101,2,29.330\n"


def events(folder: Path, mapping: str, table: str | bytes, name: str = "table.csv") -> list[Any]:
    """Return the events as parsed, and of a rejected row its Line."""
    path = folder / name
    path.write_bytes(table.encode() if isinstance(table, str) else table)
    lines = read(str(path), loads(mapping, "map.yaml"))
    return [line if isinstance(line.event, Rejected) else json.loads(line.event) for line in lines]


def custom(value: str, *, more: str = "") -> str:
    return f"""
id: "{{_line}}"
type: custom.row
time: 0
identifiers: {{}}
{more}
data:
  x: {value}
"""


def value(folder: Path, spec: str, table: str) -> Any:
    (one,) = events(folder, custom(spec), table)
    return one.event.detail if not isinstance(one, dict) else one["data"].get("x")


def test_the_example_of_an_order_table(tmp_path: Path) -> None:
    assert events(tmp_path, ORDER, ORDERS) == [
        {
            "id": "cdnow-1",
            "type": "order.paid",
            "source": "cdnow",
            "time": 852076800000,
            "identifiers": {"external_id": "00004"},
            "data": {
                "order_id": "1",
                "amount": "29.330",
                "currency": "USD",
                "items": [{"sku": "CD", "quantity": 2, "unit_price": "29.330"}],
            },
        }
    ]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("{column: a}", "7.50"),
        ("{column: empty}", None),
        ("{column: empty, default: 3}", 3),
        ('"n-{a}-{b}"', "n-7.50-x"),
        ('"n-{empty}"', None),
        ('"n-{empty?}-{b}"', "n--x"),
        ('"{{{b}}}"', "{x}"),
        ("{expr: 'a * 2'}", 15.0),
        ("{expr: 'b * 2'}", "data.x: b * 2 has no value in this row"),
        ("{column: a, type: number}", 7.5),
        ("{column: a, type: int}", "data.x: column a: '7.50' is not a whole number"),
        ("{column: two, type: int}", 2),
        ("{column: yes, type: bool}", True),
        ("{column: b, map: {x: eks}}", "eks"),
        ("{column: b, map: {y: eks}}", "data.x: column b: 'x' is not in the map"),
        ("{column: b, map: {y: eks}, default: other}", "other"),
        ('{column: money, remove: "$,", type: money}', "1234.50"),
        ('{column: day, type: date, format: "%d/%m/%Y"}', "2020-03-01"),
        (
            '{template: "{day} 10:30", type: time, format: "%d/%m/%Y %H:%M", timezone: Asia/Shanghai}',
            "2020-03-01T02:30:00.000Z",
        ),
        ("[1, {column: b}]", [1, "x"]),
        ("{inner: {column: b}, other: 1}", {"inner": "x", "other": 1}),
    ],
)
def test_values(tmp_path: Path, spec: str, wanted: Any) -> None:
    table = 'a,b,empty,two,yes,money,day\n7.50,x,,2.0,Yes,"$1,234.50",01/03/2020\n'
    assert value(tmp_path, spec, table) == wanted


@pytest.mark.parametrize(
    ("text", "options", "ms"),
    [
        ("2020-01-01T00:00:00Z", "", 1577836800000),
        ("2020-01-01 08:00:00", ", timezone: Asia/Shanghai", 1577836800000),
        ("1577836800", ", format: epoch_s", 1577836800000),
        ("1577836800.1239", ", format: epoch_s", 1577836800123),
        ("1577836800000", ", format: epoch_ms", 1577836800000),
        ("01.01.2020 00:00", ', format: "%d.%m.%Y %H:%M"', 1577836800000),
        ("2020-10-25 01:30:00", ", timezone: Europe/London", 1603585800000),
    ],
)
def test_times(tmp_path: Path, text: str, options: str, ms: int) -> None:
    mapping = custom("1").replace("time: 0", f"time: {{column: t{options}}}")
    assert events(tmp_path, mapping, f"t\n{text}\n")[0]["time"] == ms


@pytest.mark.parametrize(
    ("field", "cell", "says"),
    [
        ("date", "1997-01-01", "time: column date: '1997-01-01' is not of the format %Y%m%d"),
        ("cds", "2.5", "data.items[0].quantity: column cds: '2.5' is not a whole number"),
        ("dollars", "29,33", "data.amount: column dollars: '29,33' is not a number"),
    ],
)
def test_a_row_that_cannot_be_converted_is_rejected_with_its_row(
    tmp_path: Path, field: str, cell: str, says: str
) -> None:
    row = {"order_no": "1", "customer": "c", "date": "19970101", "cds": "2", "dollars": "29.33"} | {field: cell}
    cells = ",".join(f'"{one}"' for one in row.values())
    (line,) = events(tmp_path, ORDER, ",".join(row) + f"\n\n{cells}\n")
    assert (line.number, json.loads(line.raw), line.event) == (3, row, Rejected("invalid", says))


def test_rows_are_numbered_by_the_line_they_begin_in(tmp_path: Path) -> None:
    table = 'a,b\n1,"two\nlines"\n\n2,x\n'
    lines = list(events(tmp_path, custom("{column: b}"), table))
    assert [(one["id"], one["data"]["x"]) for one in lines] == [("2", "two\nlines"), ("5", "x")]


def test_a_row_of_another_width_is_rejected(tmp_path: Path) -> None:
    good, short, long = events(tmp_path, custom("{column: b}"), "a,b\n1,2\n3\n4,5,6\n")
    assert good["data"] == {"x": "2"}
    assert (short.number, short.raw, short.event.reason) == (3, b'["3"]', "invalid")
    assert long.event.detail == "the row has 3 values, the table 2 columns"


GROUPED = """
id: "o-{no}"
type: order.paid
time: {column: day}
group_by: no
distinct: %s
identifiers: {member_id: {column: who}}
data:
  order_id: {column: no}
  amount: {sum: "n * price"}
  currency: GBP
  items:
    - {sku: {column: sku}, quantity: {column: n}, unit_price: {column: price}}
"""
ROWS = ["1,2020-01-02,m,a,2,0.10", "1,2020-01-01,m,b,1,0.20", "2,2020-01-03,k,a,3,1.15", "1,2020-01-02,m,a,2,0.10"]
HEADER = "no,day,who,sku,n,price"


@settings(max_examples=30, deadline=None)
@given(st.permutations(ROWS))
def test_a_group_is_one_event_whatever_the_order_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("grouped")
    table = "\n".join([HEADER, *rows])
    first, second = events(folder, GROUPED % "false", table)
    assert (first["time"], first["data"]["amount"]) == (1577836800000, "0.60")
    assert [item["sku"] for item in first["data"]["items"]] == ["b", "a", "a"]
    assert (second["id"], second["data"]["amount"]) == ("o-2", "3.45")
    once, _ = events(folder, GROUPED % "true", table)
    assert (len(once["data"]["items"]), once["data"]["amount"]) == (2, "0.40")


def test_a_bad_row_of_a_group_rejects_the_group_with_all_its_rows(tmp_path: Path) -> None:
    table = "\n".join([HEADER, ROWS[2], ROWS[0], "1,2020-01-01,m,b,one,0.20", ",2020-01-01,m,b,1,0.20"])
    nameless, line, other = events(tmp_path, GROUPED % "false", table)
    assert (nameless.number, nameless.event.detail) == (5, "the row has no no to group it by")
    assert (line.number, len(json.loads(line.raw))) == (3, 2)
    assert line.event.detail == "data.amount: n * price is not a number in each row"
    assert other["id"] == "o-2"


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("{kind: a}", [2, 5]),
        ("{kind: [a, b]}", [2, 3, 5]),
        ("{n: {not_empty: true}}", [2, 3, 4]),
        ("{n: {not_empty: false}}", [5]),
        ("{n: 2}", [3]),
        ("\"kind = 'a' and n is null\"", [5]),
        ('[{kind: [a, b]}, "n > 1"]', [3]),
    ],
)
def test_where_picks_rows(tmp_path: Path, where: str, kept: list[int]) -> None:
    rows = events(tmp_path, custom("1", more=f"where: {where}"), "kind,n\na,1\nb,2\nc,3\na,\n")
    assert [int(row["id"]) for row in rows] == kept


@pytest.mark.parametrize(
    "form", ["- {a}\n- {b}", "mappings:\n  - {a}\n  - {b}", "{a}\n---\n{b}", "---\n{a}\n--- # two\n{b}\n"]
)
def test_several_mappings_in_one_file(tmp_path: Path, form: str) -> None:
    one = '{id: "KIND-{no}", type: custom.KIND, time: 0, identifiers: {}, where: {k: KIND}}'
    text = form.replace("{a}", one.replace("KIND", "a")).replace("{b}", one.replace("KIND", "b"))
    assert [row["id"] for row in events(tmp_path, text, "no,k\n1,b\n2,a\n3,c\n")] == ["b-1", "a-2"]


def test_files_choose_their_mapping(tmp_path: Path) -> None:
    mapping = custom("1", more='files: ["orders*.csv"]')
    assert len(events(tmp_path, mapping, "a\n1\n", "orders-1.csv")) == 1
    with pytest.raises(ConfigError, match="no mapping says"):
        events(tmp_path, mapping, "a\n1\n", "people.csv")


def test_csv_options(tmp_path: Path) -> None:
    semicolon = custom("{column: b}", more="csv: {delimiter: ;, skip: 1, trim: true, empty: ['NULL']}")
    assert [row["data"] for row in events(tmp_path, semicolon, "made by x\n a; b\n1; 2 \n3;NULL\n")] == [{"x": "2"}, {}]
    gbk = custom("{column: 名}", more="csv: {encoding: gbk, quote: none}")
    assert events(tmp_path, gbk, '名\n"张三\n'.encode("gbk"))[0]["data"] == {"x": '"张三'}
    for encoding in ("utf-8-sig", "utf-16"):
        assert events(tmp_path, custom("{column: 名}"), "名\r\n张三\r\n".encode(encoding))[0]["data"] == {"x": "张三"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"no,b\n1,2\n", r"map.yaml:\d+: data.x.column: .*table.csv has no column 'a'; it has no, b"),
        (b"a,a\n1,2\n", "has the column 'a' 2 times"),
        ("a\n张\n".encode("gbk"), "is not utf-8 text"),
        (b'a\n1\n"2\n', "the record of line 3: unexpected end of data"),
    ],
)
def test_a_table_that_cannot_be_read_whole(tmp_path: Path, table: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        events(tmp_path, custom("{column: a}"), table)


def test_an_empty_table_has_no_events(tmp_path: Path) -> None:
    assert events(tmp_path, custom("{column: a}"), "") == []
    assert events(tmp_path, custom("{column: a}"), "a\n") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ["map.yaml:1: holds no mapping"]),
        ("just a text", ["map.yaml:1: a mapping is an object with id, type, time, identifiers and data"]),
        ("a: [", ["map.yaml:1: not valid YAML"]),
        (
            "id: x\ntype: order.paidd\nidentifers: {}\n",
            [
                "map.yaml:1: time: is missing",
                "map.yaml:2: type: 'order.paidd' is no type",
                "map.yaml:3: identifers: is unknown",
            ],
        ),
        (ORDER.replace("USD", "{column: c, as: x}"), ["map.yaml:10: data.currency.as: is unknown"]),
        (
            ORDER.replace("  amount: {column: dollars}\n", "  items_: 1\n").replace("sku: CD, ", ""),
            ["data.items[0].sku: is missing; the type of event needs it"],
        ),
        (ORDER.replace("  order_id: {column: order_no}\n", ""), ["data.order_id: is missing"]),
        (ORDER.replace('"%Y%m%d"', "ymd"), ["map.yaml:5: time.format: must be a strptime format"]),
        (
            ORDER.replace("timezone: UTC", "timezone: Mars/Base"),
            ["map.yaml:5: time.timezone: 'Mars/Base' is no IANA time zone"],
        ),
        (ORDER.replace("cdnow-{order_no}", "cdnow-{order_no"), ["map.yaml:2: id: '{' stands alone"]),
        (ORDER + "where: 'a >'\n", ["where: a value is missing here, the text ends (at character 4)"]),
        (ORDER + "where: 'a + 1'\n", ["a condition is true or false"]),
        (ORDER + "distinct: true\n", ["distinct: is about the rows of a group"]),
        (
            ORDER + "csv: {delimiter: ab, quotes: 1, encoding: klingon, skip: -1}\n",
            ["csv.delimiter: must be one", "csv.quotes: is unknown", "csv.encoding: must be", "csv.skip: must be"],
        ),
        (
            ORDER.replace("quantity: {column: cds}", "quantity: many"),
            ["data.items[0].quantity: 'many' is not a number"],
        ),
        (
            ORDER.replace("{column: dollars}", "{column: dollars, expr: '1'}"),
            ["wants exactly one of column, template, expr, sum"],
        ),
        (
            "mappings: [{}]\nother: 1\n",
            ["map.yaml:1: mappings[0].id: is missing", "map.yaml:2: other: is unknown beside mappings"],
        ),
    ],
)
def test_a_bad_mapping_names_every_mistake_with_its_place(text: str, wanted: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "map.yaml")
    said = str(caught.value)
    for what in wanted:
        assert what in said
    assert all(line.startswith("map.yaml:") for line in said.splitlines())


def test_the_lines_of_later_documents_are_those_of_the_file() -> None:
    with pytest.raises(ConfigError, match=r"map.yaml:14: oops: is unknown"):
        loads(ORDER + "---\noops: 1\n", "map.yaml")


def test_parquet_with_a_mapping_is_exact(tmp_path: Path) -> None:
    table = pa.table(
        {
            "order_no": [1, 2],
            "customer": pa.array([13069.0, None]),
            "date": pa.array([datetime(2020, 1, 1, 8, 0, 0, 123456), datetime(2020, 1, 2)], pa.timestamp("ns")),
            "cds": pa.array([2.0, 1.0]),
            "dollars": pa.array([Decimal("29.330"), Decimal("0.100")], pa.decimal128(20, 3)),
            "price": [0.1, 19.99],
            "day": [date(2020, 1, 1), date(2020, 1, 2)],
        }
    )
    pq.write_table(table, tmp_path / "orders")
    mapping = ORDER.replace('format: "%Y%m%d", timezone: UTC', "timezone: Asia/Shanghai").replace(
        "unit_price: {column: dollars}", "unit_price: {column: price}"
    )
    for grouped in ("", "group_by: order_no\n"):
        first, second = [
            json.loads(line.event) for line in read(str(tmp_path / "orders"), loads(mapping + grouped, "m"))
        ]  # type: ignore[arg-type]
        assert (first["id"], first["time"], first["identifiers"]) == (
            "cdnow-1",
            1577836800123,
            {"external_id": "13069"},
        )
        assert first["data"]["amount"] == "29.330"
        assert first["data"]["items"] == [{"sku": "CD", "quantity": 2, "unit_price": "0.1"}]
        assert second["identifiers"] == {}


def test_the_example_maps_load() -> None:
    assert {path.name for path in MAPS.glob("*.yaml")} >= {"cdnow.yaml", "online_retail.yaml", "rees46.yaml"}
    for path in MAPS.glob("*.yaml"):
        assert load(str(path))

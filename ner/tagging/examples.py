"""Texts to try a tagger on: of the demo app, and of the widget that the Hub shows beside a model."""

from typing import NamedTuple


class Example(NamedTuple):
    """A text with names of people, places and organisations. title: its language, in that language."""

    title: str
    text: str


EXAMPLES = {
    "de": Example(
        "Deutsch",
        "Anna Keller leitet seit März das Universitätsspital Zürich. Zuvor war die gebürtige Luzernerin bei Novartis "
        "in Basel und bei der Weltgesundheitsorganisation in Genf.",
    ),
    "fr": Example(
        "Français",
        "Élodie Rochat, professeure à l'École polytechnique fédérale de Lausanne, a présenté jeudi à Neuchâtel une "
        "étude financée par Nestlé et par le canton de Vaud.",
    ),
    "it": Example(
        "Italiano",
        "Marco Bernasconi, sindaco di Locarno, ha accolto a Bellinzona i delegati della Banca nazionale svizzera e "
        "delle Ferrovie federali svizzere.",
    ),
    "en": Example(
        "English",
        "Swiss International Air Lines flies from Zurich to Toronto again, said Nina Hofmann at Kloten. FC Basel is on "
        "the first plane and plays against Toronto FC.",
    ),
}
MIXED = Example(
    "gemischt · mixte · misto",
    "Das Treffen in Biel eröffnete Thomas Wyss von der Schweizerischen Post. « Nous cherchons cent personnes à "
    "Fribourg », a déclaré Claire Favre, de Swisscom. Per il Ticino ha parlato Lucia Ferrari, della Radiotelevisione "
    "svizzera a Lugano. The last word was Peter Brown's, of Roche in London.",
)

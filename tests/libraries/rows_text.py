"""Texts and graphs: spaCy, nltk, networkx, lxml, BeautifulSoup."""

from __future__ import annotations

from .table import Library, Row

SPACY = Library(
    "spacy",
    ("spacy",),
    (
        Row(
            "a blank pipeline with components, documents, matchers, vocabularies",
            """
import spacy
from spacy.matcher import Matcher, PhraseMatcher
from spacy.tokens import Doc, Span, DocBin
nlp = spacy.blank('en'); nlp.add_pipe('sentencizer'); ruler = nlp.add_pipe('entity_ruler'); ruler.add_patterns([{'label': 'ORG', 'pattern': 'Acme'}]); doc = nlp('Acme grows. It is big.'); vocab = nlp.vocab; box = DocBin(docs=[doc])
matcher = Matcher(nlp.vocab); matcher.add('UP', [[{'LOWER': 'acme'}]]); phrases = PhraseMatcher(nlp.vocab); phrases.add('BIG', [nlp.make_doc('is big')]); docs = [doc, nlp('Two')]
""",
            (
                "[s.text for s in doc.sents] == ['Acme grows.', 'It is big.'] and [(e.text, e.label_) for e in doc.ents] == [('Acme', 'ORG')] and docs[0] is doc and doc.vocab is vocab and nlp.vocab is vocab",
                "nlp.pipe_names == ['sentencizer', 'entity_ruler'] and [e.label_ for e in nlp('Acme again').ents] == ['ORG']",
                "len(matcher(doc)) == 1 and len(phrases(doc)) == 1 and len(list(box.get_docs(vocab))) == 1",
                "nlp.get_pipe('entity_ruler') is ruler",
            ),
        ),
        Row(
            "spans, tokens, words",
            "span = doc[0:1]; token = doc[2]; word = vocab['Acme']; org = doc.ents[0]",
            (
                "span.text == 'Acme' and span.doc is doc and token.i == 2 and token.doc is doc and word.orth == vocab.strings['Acme'] and org.label_ == 'ORG'",
            ),
        ),
    ),
)

NLTK = Library(
    "nltk",
    ("nltk",),
    (
        Row(
            "frequencies, trees, stemmers, tokenizers, grammars, classifiers, models",
            """
import nltk
from nltk.lm import Laplace
from nltk.lm.preprocessing import padded_everygram_pipeline
freq = nltk.FreqDist('abracadabra'); conditional = nltk.ConditionalFreqDist([('a', 1), ('a', 2), ('b', 1)]); tree = nltk.Tree.fromstring('(S (NP I) (VP run))'); stemmer = nltk.PorterStemmer(); snow = nltk.SnowballStemmer('english'); tokenizer = nltk.RegexpTokenizer(r'\\w+'); grammar = nltk.CFG.fromstring("S -> NP VP\\nNP -> 'I'\\nVP -> 'run'"); parser = nltk.ChartParser(grammar)
bayes = nltk.NaiveBayesClassifier.train([({'a': 1}, 'x'), ({'a': 0}, 'y')]); text = nltk.Text('the cat sat on the mat'.split()); train, vocabulary = padded_everygram_pipeline(2, [['a', 'b'], ['b', 'c']]); model = Laplace(2); model.fit(train, vocabulary); train = vocabulary = None; grams = nltk.collocations.BigramCollocationFinder.from_words('a b a b c'.split()); tagger = nltk.UnigramTagger([[('the', 'DT')]], backoff=nltk.DefaultTagger('NN'))
""",
            (
                "freq.most_common(1) == [('a', 5)] and conditional['a'][2] == 1 and tree.leaves() == ['I', 'run'] and tree[1].label() == 'VP' and stemmer.stem('running') == 'run' and snow.stem('running') == 'run' and tokenizer.tokenize('a, b') == ['a', 'b']",
                "[str(t) for t in parser.parse(['I', 'run'])] == ['(S (NP I) (VP run))'] and bayes.classify({'a': 1}) == 'x' and text.count('the') == 2 and tagger.tag(['the', 'cat']) == [('the', 'DT'), ('cat', 'NN')]",
                "freq.update('zz') is None and freq['z'] == 2 and conditional['new'].N() == 0",
            ),
            ("model.score('b', ['a']), grams.nbest(nltk.BigramAssocMeasures.pmi, 2)",),
        ),
    ),
)

NETWORKX = Library(
    "networkx",
    ("networkx",),
    (
        Row(
            "graphs of every kind, with attributes, views and objects of the session as nodes",
            """
import networkx as nx
class City:
    def __init__(self, name): self.name = name
rome = City('Rome'); graph = nx.Graph(name='g'); graph.add_edge('a', 'b', weight=2); graph.add_edge('b', 'c', weight=1); graph.add_node(rome, size=3); graph.add_edge('a', rome); directed = nx.DiGraph([(1, 2), (2, 3)]); multi = nx.MultiDiGraph(); multi.add_edge(1, 2, key='k', w=1); multi.add_edge(1, 2); view = graph.subgraph(['a', 'b']); backwards = directed.reverse(copy=False); nodes = graph.nodes; degrees = graph.degree; layout = nx.spring_layout(directed, seed=1); fixed = nx.freeze(nx.path_graph(3)); nodes['a']['kept'] = 1; edges = graph.edges; around = graph['b']; grown = nx.random_regular_graph(2, 6, seed=1)
""",
            (
                "graph.name == 'g' and graph.nodes[rome]['size'] == 3 and rome in graph['a'] and nx.shortest_path(graph, 'a', 'c', weight='weight') == ['a', 'b', 'c'] and graph.nodes['a']['kept'] == 1",
                "list(multi[1][2]) == ['k', 1] and backwards.has_edge(2, 1) and nx.is_frozen(fixed) and nx.is_directed_acyclic_graph(directed)",
                "graph.add_edge('a', 'd'); 'd' in graph and 'd' in nodes and degrees['a'] == 3 and ('a', 'd') in edges and 'd' in graph['a']",
                "graph['a']['b']['weight'] = 9; view['a']['b']['weight'] == 9 and around['a']['weight'] == 9",
                "directed.add_edge(3, 4); backwards.has_edge(4, 3)",
            ),
            ("{k: v.tolist() for k, v in layout.items()}, nx.pagerank(directed), sorted(grown.edges)",),
        ),
    ),
)

LXML = Library(
    "lxml",
    ("lxml",),
    (
        Row(
            "documents and elements",
            "from lxml import etree, html, objectify\nroot = etree.fromstring('<a k=\"v\"><b>t</b></a>'); tree = etree.ElementTree(root); page = html.fromstring('<p>hi</p>'); nodes = {'b': root[0]}; path = etree.XPath('//b'); schema = etree.XMLSchema(etree.fromstring('<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"/>')); sheet = etree.XSLT(etree.fromstring('<xsl:stylesheet version=\"1.0\" xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\"/>')); parser = etree.XMLParser(); thing = objectify.fromstring('<a><n>1</n></a>')",
            (
                "thing.n == 1 and root.get('k') == 'v' and nodes['b'] is root[0] and tree.getroot() is root and page.text == 'hi' and type(page) is html.HtmlElement",
                "root[0].text = 'new'; nodes['b'].text == 'new' and b'new' in etree.tostring(tree)",
            ),
            skipped={"path": "C library", "schema": "C library", "sheet": "C library", "parser": "C library"},
        ),
    ),
)

SOUP = Library(
    "BeautifulSoup",
    ("beautifulsoup4",),
    (
        Row(
            "documents, tags and strings in them, strainers",
            """
from bs4 import BeautifulSoup, SoupStrainer
soup = BeautifulSoup('<div id="x"><p class="c d">One</p><p>Two<!-- note --></p></div>', 'html.parser'); div = soup.div; second = soup.find_all('p')[1]; found = soup.select('p.c'); text = second.string if second.string else second.contents[0]; strainer = SoupStrainer('p'); deep = BeautifulSoup('<i>' * 30 + 'x', 'html.parser')
""",
            (
                "soup.p['class'] == ['c', 'd'] and str(soup) == '<div id=\"x\"><p class=\"c d\">One</p><p>Two<!-- note --></p></div>' and deep.get_text() == 'x'",
                "second.parent is div and soup.div is div and found[0] is div.p and text.parent is second and div.parent is soup",
                "second.append('!') is not None and 'Two' in str(soup) and '!</p>' in str(soup)",
                "soup.new_tag('b').name == 'b' and second.previous_sibling is found[0]",
            ),
        ),
    ),
)

LIBRARIES = (SPACY, NLTK, NETWORKX, LXML, SOUP)

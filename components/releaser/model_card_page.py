"""The model card's page. In Python and not in a file beside it, so that an installed package cannot lack it."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Model card: {{ results.system }} on {{ results.dataset }}, version {{ version }}</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #5b626b; --line: #d5d9de }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e8eaed; --soft: #a9b0b8; --line: #3b4046 } }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2 } h2 { font-size: 1.2rem; margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 1rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
.soft { color: var(--soft) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 600 } th:first-child, td:first-child, .text td, .text th { text-align: left }
tr.whole td { font-weight: 700 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } dt { color: var(--soft) } dd { margin: 0 }
</style>
</head>
<body>
<h1>Model card: {{ results.system }} on {{ results.dataset }}, version {{ version }}</h1>

<h2>Model details</h2>
<dl>
<dt>System</dt><dd>{{ results.system }}: one vector a photo and attribute; similarity is their inner product</dd>
{% if recipe %}
<dt>Network</dt><dd>{{ recipe.model.backbone }} at {{ recipe.model.image_size }} pixels, {{ "{:,}".format(recipe.parameters) }} parameters, \
{{ "from random weights" if not recipe.model.weights else "from the weights " ~ recipe.model.weights }}</dd>
<dt>Training</dt><dd>{{ recipe.epochs }} epochs, {{ recipe.training.sampling }} sampling, batch {{ recipe.training.batch_size }}, \
learning rate {{ "%.3g"|format(recipe.training.learning_rate) }}, seed {{ recipe.training.seed }}; the whole recipe is in release.json</dd>
{% endif %}
<dt>Released</dt><dd>{{ date }} as version {{ version }}{% if run %}, by run {{ run }}{% endif %}</dd>
<dt>Code</dt><dd>m3net {{ code.m3net }}{% if code.commit %}, commit {{ code.commit }}{% endif %}; TensorFlow {{ code.tensorflow }}, Keras {{ code.keras }}</dd>
<dt>Licence, contact</dt><dd>not stated; those of whoever trained it on their catalogue</dd>
</dl>

<h2>Intended use</h2>
<p>To find the items of a catalogue that share one named detail (a class of an attribute) with a photo of a garment, and to suggest \
classes to people who label photos. For shops and researchers, on photos like those it was trained on.</p>
<p>Not for: telling who a person is or what they are like; photos without a garment; attributes or classes other than those below; \
decisions about people; labels that nobody checks.</p>

<h2>Factors</h2>
<p>Relevant: the attribute and class asked for, and how the photo was taken (worn or flat, studio or street, how much of the garment \
it shows). Measured: attributes, and classes where slices were asked for. Not measured, because the catalogue says nothing of it: \
skin tone, body shape, age and gender of people shown, culture of dress, camera.</p>

<h2>Metrics</h2>
<p>MAP@all: the mean over queries of average precision over all candidates; a candidate is right if it shares \
{{ "that class" if results.protocol == "pair" else "a class" }}. MAP@100 and Recall@100 look at the first 100. Beside them what a random \
ranking of the same photos would be expected to reach. In percent; intervals are 95 %, bootstrapped over queries.</p>
{% if verdict %}
<p>Decision: {{ verdict }}</p>
{% endif %}

<h2>Evaluation data</h2>
<p>Split {{ results.split }} of {{ results.dataset }}{% if data.rows.get("test") %}, {{ "{:,}".format(data.rows.test) }} photos{% endif %}, \
protocol "{{ results.protocol }}": {{ "{:,}".format(results.overall.queries) }} queries. Not used to choose anything.</p>

<h2>Training data</h2>
<p>{% for split, count in data.rows.items() %}{{ split }} {{ "{:,}".format(count) }}{{ ", " if not loop.last }}{% endfor %} photos\
{% if data.catalogue %} of <code>{{ data.catalogue }}</code> (format {{ data.format }}, fingerprint {{ data.fingerprint }})\
{% endif %}{% if data.span is defined %}, span {{ data.span }}{% endif %}. \
How the photos were chosen and who labelled them is for the catalogue's owner to say.</p>
{% if counts and splits %}
<div class="scroll"><table class="text">
<tr><th>attribute</th><th>class</th>{% for split in splits %}<th>{{ split }}</th>{% endfor %}</tr>
{% for one in counts %}
<tr><td>{{ one.attribute }}</td><td>{{ one.name }}</td>{% for split in splits %}<td>{{ "{:,}".format(one.photos[split]) }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% else %}
<p>{{ classes }} classes; they are listed in release.json.</p>
{% endif %}

<h2>Quantitative analyses</h2>
<h3>By attribute</h3>
<div class="scroll"><table>
<tr><th>attribute</th><th>MAP@all</th><th>95 %</th><th>random</th><th>MAP@100</th><th>Recall@100</th><th>queries</th><th>candidates</th></tr>
{% for name, one in results.attributes.items() %}
<tr><td>{{ name }}</td><td>{{ one.map|percent }}</td><td>{{ one|interval }}</td><td>{{ one.random_map|percent }}</td>\
<td>{{ one.map_at_100|percent }}</td><td>{{ one.recall_at_100|percent }}</td><td>{{ one.queries }}</td><td>{{ one.candidates }}</td></tr>
{% endfor %}
{% set one = results.overall %}
<tr class="whole"><td>overall</td><td>{{ one.map|percent }}</td><td>{{ one|interval }}</td><td>{{ one.random_map|percent }}</td>\
<td>{{ one.map_at_100|percent }}</td><td>{{ one.recall_at_100|percent }}</td><td>{{ one.queries }}</td><td>{{ one.candidates }}</td></tr>
</table></div>
{% if worst %}
<h3>The classes that do worst</h3>
<div class="scroll"><table class="text">
<tr><th>attribute</th><th>class</th><th>MAP@all</th><th>95 %</th><th>random</th><th>queries</th></tr>
{% for one in worst %}
<tr><td>{{ one.attribute }}</td><td>{{ one.value }}</td><td>{{ one.map|percent }}</td><td>{{ one|interval }}</td>\
<td>{{ one.random_map|percent }}</td><td>{{ one.queries }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

<h2>Ethical considerations</h2>
<p>Catalogue photos often show people. The model is not trained to recognise them, and nobody measured whether it does worse for some \
than for others. What it finds follows what the catalogue holds and how it was labelled: what is rare there is found less well. \
The photos themselves are not in the release; their vectors, ids and places are.</p>

<h2>Caveats and recommendations</h2>
<ul>
{% for line in caveats %}
<li>{{ line }}</li>
{% endfor %}
<li>Measured on photos of the same catalogue: elsewhere, measure anew before use.</li>
<li>Look at report.html of the run: neighbours right and wrong, confusions, where it looked.</li>
</ul>
</body>
</html>
"""

"""Helm's own engine and the schemas of Kubernetes, for the tests in this folder.

Reads {"chart": path, "without_files": path, "package_into": path, "sets": {name: values}, "more": {name: values}, "bad": {name: values},
"pairs": {name: [values, values]}, "wrapped": {name: values.yaml of a chart around ours}, "manifests": [object], "kubernetes": first version} from standard input, and writes to standard output what Helm and Kubernetes
say of it. The judgement is the tests'.
"""

import functools
import json
import os
import shutil
import sys
import tempfile

import helm_python as helm
import kubernetes_validate
import yaml
from kubernetes_validate import utils
from packaging.version import Version

RELEASE = {"name": "wiza-relay", "namespace": "marketing"}
# Each validation would read megabytes of definitions anew.
utils.schema_contents = functools.cache(utils.schema_contents)


class Loader(yaml.CSafeLoader):
    """Refuses a key that is there twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def objects(rendered):
    """The objects of a rendered chart, each with the template that it comes from."""
    for path, text in sorted(rendered.items()):
        if path.endswith((".yaml", ".yml")):
            for document in yaml.load_all(text, Loader):
                if document:
                    yield {"template": path, "object": document}


def complaints(item, versions):
    """What the versions of Kubernetes have against an object; None for a kind that is not theirs."""
    found = []
    for version in versions:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except utils.SchemaNotFoundError:
            return None
        except utils.ValidationError as error:
            found.append(f"{version}: {'/'.join(map(str, error.path))}: {error.message}")
    return found


def refusal(chart, values):
    """Why Helm does not render these values; None if it does."""
    try:
        chart.render(values, **RELEASE)
    except helm.HelmError as error:
        return str(error)
    return None


def both(chart, pair):
    """Why the first of two sets of values is refused; else whether the second is rendered just so."""
    try:
        rendered = chart.render(pair[0], **RELEASE)
    except helm.HelmError as error:
        return str(error)
    return rendered == chart.render(pair[1], **RELEASE)


def wrapped(chart, text):
    """The objects of our chart inside of another one whose values.yaml is `text`; why Helm does not render them if it does not."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(chart, os.path.join(folder, "charts", "wiza-relay"))
        dependency = {"name": "wiza-relay", "version": "*"}
        outer = {"apiVersion": "v2", "name": "outer", "version": "1.0.0", "dependencies": [dependency]}
        for name, content in [("Chart.yaml", json.dumps(outer)), ("values.yaml", text)]:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(content)
        with helm.Chart.load(folder) as loaded:
            try:
                return list(objects(loaded.render({}, **RELEASE)))
            except helm.HelmError as error:
                return str(error)


def main():
    asked = json.load(sys.stdin)
    # The engine logs to both streams, and the answer must stand alone.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    versions = sorted({found for found in utils.all_versions() if Version(found) >= Version(asked["kubernetes"])}, key=Version)
    sets, more = {}, {}
    with helm.Chart.load(asked["chart"]) as chart:
        for told, name, values in [(told, *item) for told, key in [(sets, "sets"), (more, "more")] for item in asked[key].items()]:
            rendered = chart.render(values, **RELEASE)
            found = list(objects(rendered))
            for entry in found:
                entry["complaints"] = complaints(entry["object"], versions)
            lint = helm.chart.lint(asked["chart"], values, strict=True, kube_version=f"v{asked['kubernetes']}")
            told[name] = {"rendered": rendered, "objects": found, "lint": lint}
        said = {
            "versions": versions,
            "metadata": chart.metadata,
            "values": chart.values,
            "sets": sets,
            "more": more,
            "refusals": {name: refusal(chart, values) for name, values in asked["bad"].items()},
            "manifests": [complaints(item, versions) for item in asked["manifests"]],
            "pairs": {name: both(chart, pair) for name, pair in asked["pairs"].items()},
            "wrapped": {name: wrapped(asked["chart"], text) for name, text in asked["wrapped"].items()},
        }
    with helm.Chart.load(asked["without_files"]) as chart:
        said["without_files"] = {name: refusal(chart, asked["sets"][name]) for name in ("everything", "minimal", "alerts-left-out")}
    archive = helm.chart.package(asked["chart"], destination=asked["package_into"])
    with helm.Chart.load(archive) as packaged:
        said["packaged"] = {entry["name"]: entry["data"] for entry in packaged.files}
        said["packaged_objects"] = list(objects(packaged.render(asked["sets"]["everything"], **RELEASE)))
    json.dump(said, answer)


main()

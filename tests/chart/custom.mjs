// Holds objects against the schemas of the Prometheus operator and the Gateway API, as the packages of @kubernetes-models carry
// them: compiled validators. Reads a JSON list of objects, writes a JSON list of complaints for each; null for a kind it does not know.
//
// Those validators pass over a field that they do not know, and a misspelt field is what a cluster would drop in silence. So each
// object is handed over as one that notes which of its fields are looked at: one that nobody looked at is unknown.
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const modules = path.resolve(process.argv[2], "node_modules/@kubernetes-models");
const places = {
  "monitoring.coreos.com/v1": ["prometheus-operator", "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1"],
  "gateway.networking.k8s.io/v1": ["gateway-api", "IoK8sSigsGatewayApiApisV1"],
};

function noting(value, at, unread) {
  if (value === null || typeof value !== "object") return value;
  const list = Array.isArray(value);
  const inner = list ? [] : {};
  for (const key of Object.keys(value)) {
    inner[key] = noting(value[key], `${at}/${key}`, unread);
    if (!list) unread.add(`${at}/${key}`);
  }
  return new Proxy(inner, {
    get(target, key) {
      if (typeof key === "string") unread.delete(`${at}/${key}`);
      return Reflect.get(target, key);
    },
  });
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (const object of objects) {
  const place = places[object.apiVersion];
  if (!place) {
    answers.push(null);
    continue;
  }
  const file = path.join(modules, place[0], "_schemas", `${place[1]}${object.kind}.js`);
  const { validate } = await import(pathToFileURL(file));
  const unread = new Set();
  const complaints = validate(noting(object, "", unread)) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.keyword}`);
  for (const field of unread) complaints.push(`${field} unknown`);
  answers.push(complaints);
}
process.stdout.write(JSON.stringify(answers));

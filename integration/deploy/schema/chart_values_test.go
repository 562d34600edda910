package schema

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

// TestWrongValues: what would not do what it says is refused, before anything is in the
// cluster, with a line that names the key.
func TestWrongValues(t *testing.T) {
	for values, want := range map[string]string{
		// misspelt, or of an older chart
		"replica: 2":                                 "'replica'",
		"nats: {secret: nats-edge}":                  "/nats",
		"nats: {tls: {existingsecret: a}}":           "/nats/tls",
		"env: {EDGE_MAX_CONECTIONS: 5}":              "'EDGE_MAX_CONECTIONS'",
		"admin: {secretData: {TOKEN: a}}":            "'TOKEN'",
		"tls: {secretData: {tls.crt: a}}":            "tls.key",
		"resources: {limit: {memory: 1Gi}}":          "'limit'",
		"resources: {limits: {memory: 2 Gi}}":        "resources.limits.memory",
		"setup: {queues: [a b]}":                     "/setup/queues/0",
		"image: {pullPolicy: always}":                "/image/pullPolicy",
		"service: {type: clusterIP}":                 "/service/type",
		"nats: {url: nats.nats.svc:4222}":            "/nats/url",
		"nats: {auth: passwords}":                    "/nats/auth",
		"serviceMonitor: {interval: 15}":             "/serviceMonitor/interval",
		"podDisruptionBudget: {maxUnavailable: 1.5}": "/podDisruptionBudget/maxUnavailable",
		// another type
		"replicas: three":                       "/replicas",
		"replicas: 1.5":                         "/replicas",
		"graceSeconds: 5s":                      "/graceSeconds",
		"env: {EDGE_AUTH: [jwt]}":               "/env/EDGE_AUTH",
		"trustedProxies: 10.0.0.0/8":            "/trustedProxies",
		"trustedProxies: [ingress]":             "/trustedProxies/0",
		"tolerations: {key: edge}":              "/tolerations",
		"podLabels: {a: 1}":                     "/podLabels/a",
		"extraEnv: {EDGE_AUTH: jwt}":            "/extraEnv",
		"extraEnv: [{value: a}]":                "/extraEnv/0",
		"extraVolumeMounts: [{name: ca}]":       "/extraVolumeMounts/0",
		"ingress: {hosts: [{host: a.example}]}": "/ingress/hosts/0",
		// what has a value of its own
		"env: {EDGE_DRAIN_GRACE: 30s}":                 "env.EDGE_DRAIN_GRACE: the chart has graceSeconds",
		"env: {EDGE_ADMIN_TOKEN: a-token}":             "env.EDGE_ADMIN_TOKEN: the chart has admin",
		"env: {EDGE_QUEUE_SERVICES: echo}":             "env.EDGE_QUEUE_SERVICES: the chart has setup.queues",
		"extraEnv: [{name: EDGE_LISTEN, value: ':1'}]": "extraEnv: EDGE_LISTEN: the chart has no value",
		"extraEnv: [{name: NATS_URL, value: a}]":       "extraEnv: NATS_URL: the chart has nats.url",
		// half of it
		"ingress: {enabled: true}":                        "ingress.hosts",
		"nats: {existingSecret: ''}":                      "nats.existingSecret",
		"setup: {existingSecret: ''}":                     "setup.existingSecret",
		"nats: {secretData: {NATS_USER: edge}}":           "NATS_PASSWORD",
		"nats: {auth: creds, secretData: {nats.nk: a}}":   "nats.secretData: has no nats.creds",
		"setup: {secretData: {nats.creds: a}}":            "setup.secretData: has no NATS_PASSWORD",
		"nats: {tls: {clientCertificate: true}}":          "nats.tls.existingSecret",
		"autoscaling: {enabled: true, sessionsPerPod: 0}": "autoscaling.sessionsPerPod",
	} {
		var set map[string]any
		if err := yaml.UnmarshalStrict([]byte(values), &set); err != nil {
			t.Fatal(err)
		}
		_, err := renderFiles(kube, set)
		if err == nil {
			t.Errorf("%s is taken", values)
			continue
		}
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("%s: no line has %q:\n%v", values, want, err)
		}
	}
}

// TestSchemaHasAllValues: what the schema describes stands in values.yaml, where its
// default and its comment are. The other way round is what rendering checks.
func TestSchemaHasAllValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartPath, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	root := valuesSchema(t)
	var compare func(at string, schema map[string]any, values map[string]any)
	compare = func(at string, schema, values map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name, s := range properties {
			value, ok := values[name]
			if optional := at == "" && name == "global" || at == ".env" || strings.HasSuffix(at, ".secretData") || strings.HasSuffix(at, "resources"); !ok && !optional {
				t.Errorf("%s.%s is in the schema, and not in values.yaml", at, name)
			}
			if inner, is := value.(map[string]any); is {
				compare(at+"."+name, s.(map[string]any), inner)
			}
		}
	}
	compare("", root, values)
}

func valuesSchema(t *testing.T) (schema map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartPath, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaHasAllSettings: env takes the settings that a node has, and no other.
func TestSchemaHasAllSettings(t *testing.T) {
	table := hydrant(t, nil, "help", "config")
	settings := regexp.MustCompile(`(?m)^EDGE_[A-Z_]+`).FindAllString(table, -1)
	slices.Sort(settings)
	env := valuesSchema(t)["properties"].(map[string]any)["env"].(map[string]any)["properties"].(map[string]any)
	if have := slices.Sorted(maps.Keys(env)); len(have) == 0 || !slices.Equal(have, settings) {
		t.Errorf("values.schema.json has in env %v,\nand `hydrant help config` %v", have, settings)
	}
}

// TestLint: `helm lint -strict` says nothing, for any of the values.
func TestLint(t *testing.T) {
	for _, v := range variants(t) {
		result := lint.All(chartPath, v.set, "edge", true)
		for _, m := range result.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", v.name, m)
			}
		}
	}
}

// TestNotes: they name what there is, and no secret.
func TestNotes(t *testing.T) {
	want := map[string][]string{
		"defaults":     {"kubectl -n edge rollout status deployment/hydrant\n", "service/hydrant 8080:80\n", "ws://localhost:8080\n"},
		"nothing":      {"admin.existingSecret"},
		"accounts":     {"config map hydrant-nats-accounts"},
		"shared":       {"deployment/edge\n", "service/edge 8080:443\n", "wss://localhost:8080\n"},
		"tls-ingress":  {"wss://edge.example.org\n"},
		"scaling":      {"Hydrant 1.2.3: 6 to 60 nodes", "custom-metrics adapter"},
		"made-secrets": nil,
	}
	for _, v := range variants(t) {
		files, err := renderFiles(v.kube, v.set)
		if err != nil {
			t.Fatal(err)
		}
		notes := files["hydrant/templates/NOTES.txt"]
		for _, text := range want[v.name] {
			if !strings.Contains(notes, text) {
				t.Errorf("%s: the notes have no %q:\n%s", v.name, text, notes)
			}
		}
		if strings.Contains(notes, "password") || strings.Contains(notes, "first-secret") || strings.Contains(notes, "map[") {
			t.Errorf("%s: %s", v.name, notes)
		}
	}
	set := valuesFile(t, "tls-ingress")
	delete(set, "trustedProxies")
	files, err := renderFiles(kube, set)
	if err != nil || !strings.Contains(files["hydrant/templates/NOTES.txt"], "until\n  trustedProxies names it") {
		t.Errorf("%v, %s", err, files["hydrant/templates/NOTES.txt"])
	}
}

package schema

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const (
	chartPath = "../../../deploy/helm/hydrant"
	plainPath = "../../../deploy/kubernetes/hydrant.yaml"
	kube      = "v1.31.0" // knows the sleep action
	oldKube   = "v1.27.0" // does not
)

// serviceMonitor is the part of Prometheus Operator's type that the chart uses.
type serviceMonitor struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		JobLabel string `json:"jobLabel"`
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Interval string `json:"interval"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// renderFiles returns what the chart's templates make of values, as `helm install` does
// it: with the schema of the values first.
func renderFiles(kube string, set map[string]any) (map[string]string, error) {
	chart, err := loader.Load(chartPath)
	if err != nil {
		return nil, err
	}
	capabilities := *chartutil.DefaultCapabilities
	version, err := chartutil.ParseKubeVersion(kube)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	values, err := chartutil.ToRenderValues(chart, set,
		chartutil.ReleaseOptions{Name: "hydrant", Namespace: "edge", IsInstall: true}, &capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, values)
}

// render returns the chart's objects, one document each, in a fixed order.
func render(t *testing.T, kube string, set map[string]any) []string {
	t.Helper()
	files, err := renderFiles(kube, set)
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) == ".yaml" {
			documents = append(documents, split(files[name])...)
		}
	}
	return documents
}

func split(text string) (documents []string) {
	for d := range strings.SplitSeq("\n"+text+"\n", "\n---\n") {
		if d = strings.TrimSpace(d); d != "" {
			documents = append(documents, d+"\n")
		}
	}
	return documents
}

// objects are what the tests look at.
type objects struct {
	deployment *appsv1.Deployment
	services   map[string]*corev1.Service
	secrets    map[string]*corev1.Secret
	account    *corev1.ServiceAccount
	config     *corev1.ConfigMap
	job        *batchv1.Job
	disruption *policyv1.PodDisruptionBudget
	scaler     *autoscalingv2.HorizontalPodAutoscaler
	policy     *networkingv1.NetworkPolicy
	ingress    *networkingv1.Ingress
	monitor    *serviceMonitor
}

// parse reads each object into Kubernetes' own type, strictly, and checks it against
// Kubernetes' schema.
func parse(t *testing.T, documents []string) *objects {
	t.Helper()
	all := &objects{services: make(map[string]*corev1.Service), secrets: make(map[string]*corev1.Secret)}
	for _, text := range documents {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var err error
		switch head.Kind {
		case "Deployment":
			err = one(text, &all.deployment)
		case "Service":
			err = named(text, all.services)
		case "Secret":
			err = named(text, all.secrets)
		case "ServiceAccount":
			err = one(text, &all.account)
		case "ConfigMap":
			err = one(text, &all.config)
		case "Job":
			err = one(text, &all.job)
		case "PodDisruptionBudget":
			err = one(text, &all.disruption)
		case "HorizontalPodAutoscaler":
			err = one(text, &all.scaler)
		case "NetworkPolicy":
			err = one(text, &all.policy)
		case "Ingress":
			err = one(text, &all.ingress)
		case "ServiceMonitor":
			err = one(text, &all.monitor)
		default:
			t.Fatalf("nobody knows the kind %q", head.Kind)
		}
		if err != nil {
			t.Errorf("%s: %v in\n%s", head.Kind, err, text)
		}
		if err := againstSchema(text); err != nil {
			t.Errorf("%s: %v in\n%s", head.Kind, err, text)
		}
	}
	return all
}

func one[T any](text string, into **T) error {
	*into = new(T)
	return yaml.UnmarshalStrict([]byte(text), *into)
}

func named[T any, P interface {
	*T
	GetName() string
}](text string, into map[string]P) error {
	object := P(new(T))
	err := yaml.UnmarshalStrict([]byte(text), object)
	into[object.GetName()] = object
	return err
}

// kinds are those of the objects that there may be, or not.
func (o *objects) kinds() (kinds []string) {
	for kind, is := range map[string]bool{
		"Secret": len(o.secrets) > 0, "ServiceAccount": o.account != nil, "ConfigMap": o.config != nil,
		"Job": o.job != nil, "PodDisruptionBudget": o.disruption != nil, "HorizontalPodAutoscaler": o.scaler != nil,
		"NetworkPolicy": o.policy != nil, "Ingress": o.ingress != nil, "ServiceMonitor": o.monitor != nil,
	} {
		if is {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// valuesFile reads one of the chart's files for tests; numbers are what they are for
// every program but Helm, so that a large one is a float.
func valuesFile(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartPath, "ci", name+"-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// accounts is what `hydrant setup nats` wrote.
func accounts() string {
	text, err := os.ReadFile("../../../deploy/nats/accounts.conf")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// variant is the chart with one set of values.
type variant struct {
	name string
	kube string
	set  map[string]any
}

// variants are the defaults, the files of the chart, and a NATS without users.
func variants(t *testing.T) []variant {
	all := []variant{{"defaults", kube, nil}, {"old", oldKube, nil}, {"nothing", kube, nothing()}}
	files, err := filepath.Glob(filepath.Join(chartPath, "ci", "*-values.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		set := valuesFile(t, name)
		if name == "accounts" {
			set["nats"].(map[string]any)["accounts"] = accounts()
		}
		all = append(all, variant{name, kube, set})
	}
	return all
}

// nothing is for a NATS without users, and nodes without administrators.
func nothing() map[string]any {
	return map[string]any{
		"nats":                map[string]any{"auth": "none"},
		"setup":               map[string]any{"enabled": false},
		"admin":               map[string]any{"existingSecret": ""},
		"networkPolicy":       map[string]any{"enabled": false},
		"podDisruptionBudget": map[string]any{"enabled": false},
		"serviceAccount":      map[string]any{"create": false},
		"resources":           map[string]any{"limits": nil},
		"env":                 map[string]any{"EDGE_QUEUE_SERVICES": "echo"},
	}
}

func TestChart(t *testing.T) {
	usual := []string{"Job", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"}
	want := map[string][]string{
		"defaults":         usual,
		"old":              usual,
		"nothing":          nil,
		"accounts":         append([]string{"ConfigMap", "ServiceMonitor"}, usual...),
		"shared":           {"Job", "PodDisruptionBudget"},
		"tls-ingress":      append([]string{"Ingress"}, usual...),
		"scaling":          append([]string{"HorizontalPodAutoscaler"}, usual...),
		"existing-secrets": usual,
		"made-secrets":     append([]string{"Secret"}, usual...),
	}
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			all := parse(t, render(t, v.kube, v.set))
			slices.Sort(want[v.name])
			if !slices.Equal(all.kinds(), want[v.name]) {
				t.Errorf("kinds %v, want %v", all.kinds(), want[v.name])
			}
			coherent(t, all, v.kube)
		})
	}
}

// TestPlainYAML: deploy/kubernetes/hydrant.yaml is the chart with its
// defaults. HYDRANT_WRITE=1 writes it.
func TestPlainYAML(t *testing.T) {
	const head = "# Written from deploy/helm/hydrant with its defaults (HYDRANT_WRITE=1 go test\n# -run TestPlainYAML in integration/deploy/schema). Kubernetes 1.30 and later.\n"
	text := head + strings.Join(render(t, kube, nil), "---\n")
	text = strings.ReplaceAll(text, "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")
	path := filepath.FromSlash(plainPath)
	if os.Getenv("HYDRANT_WRITE") != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != text {
		t.Errorf("%s is not what the chart renders: run this test with HYDRANT_WRITE=1", plainPath)
	}
	coherent(t, parse(t, split(strings.TrimPrefix(text, head))), kube)
}

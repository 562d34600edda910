package schema

import (
	"os"
	"path/filepath"
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

// render returns the chart's objects, one document each, in a fixed order.
func render(t *testing.T, kube string, set map[string]any) []string {
	t.Helper()
	chart, err := loader.Load(chartPath)
	if err != nil {
		t.Fatal(err)
	}
	capabilities := *chartutil.DefaultCapabilities
	version, err := chartutil.ParseKubeVersion(kube)
	if err != nil {
		t.Fatal(err)
	}
	capabilities.KubeVersion = *version
	values, err := chartutil.ToRenderValues(chart, set,
		chartutil.ReleaseOptions{Name: "hydrant", Namespace: "edge", IsInstall: true}, &capabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Engine{Strict: true}.Render(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, name := range []string{"deployment", "service", "availability", "access", "nats"} {
		documents = append(documents, split(files["hydrant/templates/"+name+".yaml"])...)
	}
	return documents
}

func split(text string) (documents []string) {
	for _, d := range strings.Split(text, "\n---\n") {
		if d = strings.TrimSpace(d); d != "" {
			documents = append(documents, d+"\n")
		}
	}
	return documents
}

// objects are what the tests look at.
type objects struct {
	deployment *appsv1.Deployment
	services   []*corev1.Service
	kinds      map[string]int
	monitor    *serviceMonitor
	policy     *networkingv1.NetworkPolicy
	config     *corev1.ConfigMap
	job        *batchv1.Job
}

func parse(t *testing.T, documents []string) *objects {
	t.Helper()
	all := &objects{kinds: make(map[string]int)}
	for _, text := range documents {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all.kinds[head.Kind]++
		var into any
		switch head.Kind {
		case "Deployment":
			all.deployment = &appsv1.Deployment{}
			into = all.deployment
		case "Service":
			service := &corev1.Service{}
			all.services = append(all.services, service)
			into = service
		case "PodDisruptionBudget":
			into = &policyv1.PodDisruptionBudget{}
		case "HorizontalPodAutoscaler":
			into = &autoscalingv2.HorizontalPodAutoscaler{}
		case "NetworkPolicy":
			all.policy = &networkingv1.NetworkPolicy{}
			into = all.policy
		case "ConfigMap":
			all.config = &corev1.ConfigMap{}
			into = all.config
		case "Job":
			all.job = &batchv1.Job{}
			into = all.job
		case "ServiceMonitor":
			all.monitor = &serviceMonitor{}
			into = all.monitor
		default:
			t.Fatalf("nobody knows the kind %q", head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Errorf("%s: %v in\n%s", head.Kind, err, text)
		}
	}
	return all
}

// everything switches every part of the chart on.
func everything() map[string]any {
	return map[string]any{
		"autoscaling":    map[string]any{"enabled": true},
		"serviceMonitor": map[string]any{"enabled": true, "labels": map[string]any{"release": "prometheus"}},
		"networkPolicy":  map[string]any{"clientNamespaceLabels": map[string]any{"name": "ingress"}},
		"nats":           map[string]any{"queues": []any{"echo", "chat"}, "accounts": accounts(), "namespaceLabels": map[string]any{"name": "nats"}},
		"service":        map[string]any{"annotations": map[string]any{"a": "b"}},
		"trustedProxies": []any{"10.0.0.0/8"},
		"nodeSelector":   map[string]any{"role": "edge"},
		"tolerations":    []any{map[string]any{"key": "edge", "operator": "Exists"}},
	}
}

func TestChart(t *testing.T) {
	for name, c := range map[string]struct {
		kube string
		set  map[string]any
		want map[string]int
	}{
		"defaults":   {"v1.31.0", nil, map[string]int{"Deployment": 1, "Service": 2, "PodDisruptionBudget": 1, "NetworkPolicy": 1, "Job": 1}},
		"old":        {"v1.27.0", nil, map[string]int{"Deployment": 1, "Service": 2, "PodDisruptionBudget": 1, "NetworkPolicy": 1, "Job": 1}},
		"no secrets": {"v1.31.0", noSecrets(), map[string]int{"Deployment": 1, "Service": 2, "PodDisruptionBudget": 1, "NetworkPolicy": 1}},
		"everything": {"v1.31.0", everything(), map[string]int{"Deployment": 1, "Service": 2, "PodDisruptionBudget": 1, "NetworkPolicy": 1, "HorizontalPodAutoscaler": 1, "ServiceMonitor": 1, "ConfigMap": 1, "Job": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			all := parse(t, render(t, c.kube, c.set))
			for kind, n := range c.want {
				if all.kinds[kind] != n {
					t.Errorf("%d of %s, want %d", all.kinds[kind], kind, n)
				}
			}
			if len(all.kinds) != len(c.want) {
				t.Errorf("kinds %v, want %v", all.kinds, c.want)
			}
			coherent(t, all, c.kube)
			if all.config != nil && all.config.Data["accounts.conf"] != accounts() {
				t.Error("the rights are not those that were given")
			}
			if all.job != nil {
				setsUp(t, all.job, c.set)
			}
			fromSecrets(t, all, name != "no secrets")
		})
	}
}

// accounts is what `hydrant setup nats` wrote.
func accounts() string {
	text, err := os.ReadFile("../../../deploy/nats/accounts.conf")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// noSecrets is for a NATS without users, and nodes without administrators.
func noSecrets() map[string]any {
	return map[string]any{"nats": map[string]any{"secret": "", "setupSecret": ""}, "admin": map[string]any{"secret": ""}}
}

// fromSecrets: the edges have the user that `hydrant setup nats` has written for them, by
// the names that stand in its file, and the token of administrators; all out of secrets,
// and no password in the chart.
func fromSecrets(t *testing.T, all *objects, are bool) {
	t.Helper()
	want := map[string]string{"EDGE_ADMIN_TOKEN": "hydrant-operators"}
	for name := range variables(t, "../../../deploy/nats/users/edge.env") {
		want[name] = "nats-edge"
	}
	if !are {
		clear(want)
	}
	for _, v := range all.deployment.Spec.Template.Spec.Containers[0].Env {
		secret := strings.Contains(v.Name, "TOKEN") || strings.Contains(v.Name, "PASSWORD") || v.Name == "NATS_USER"
		if !secret {
			continue
		}
		if v.Value != "" || v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil || v.ValueFrom.SecretKeyRef.Name != want[v.Name] || v.ValueFrom.SecretKeyRef.Key != v.Name {
			t.Errorf("%+v, want it from %q", v, want[v.Name])
		}
		delete(want, v.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// setsUp: the job runs before the nodes, with a user of its own.
func setsUp(t *testing.T, job *batchv1.Job, set map[string]any) {
	t.Helper()
	c := job.Spec.Template.Spec.Containers[0]
	args := "setup -queues "
	if set != nil {
		args += "echo,chat"
	}
	if strings.Join(c.Args, " ") != args || job.Annotations["helm.sh/hook"] != "pre-install,pre-upgrade" {
		t.Errorf("%v, %v", c.Args, job.Annotations)
	}
	for _, v := range c.Env {
		if ref := v.ValueFrom; ref != nil && (ref.SecretKeyRef.Name != "nats-setup" || ref.SecretKeyRef.Key != v.Name) {
			t.Errorf("%s from %v", v.Name, ref.SecretKeyRef)
		}
	}
}

// coherent checks what types cannot: names that refer to each other, and
// times that must fit.
func coherent(t *testing.T, all *objects, kube string) {
	t.Helper()
	pod := all.deployment.Spec.Template
	container := pod.Spec.Containers[0]
	ports := make(map[string]bool)
	for _, p := range container.Ports {
		ports[p.Name] = true
	}
	matches := func(what string, selector map[string]string, labels map[string]string) {
		t.Helper()
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, which is %q", what, k, v, labels[k])
			}
		}
	}
	matches("deployment", all.deployment.Spec.Selector.MatchLabels, pod.Labels)
	for _, s := range all.services {
		matches("service "+s.Name, s.Spec.Selector, pod.Labels)
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.StrVal] {
				t.Errorf("service %s: no port %q", s.Name, p.TargetPort.StrVal)
			}
		}
	}
	if all.policy != nil {
		matches("network policy", all.policy.Spec.PodSelector.MatchLabels, pod.Labels)
	}
	if all.monitor != nil {
		matches("service monitor", all.monitor.Spec.Selector.MatchLabels, all.services[1].Labels)
	}
	env := make(map[string]string)
	for _, v := range container.Env {
		env[v.Name] = v.Value
	}
	grace, sleeps := env["EDGE_DRAIN_GRACE"], container.Lifecycle != nil
	switch {
	case kube == "v1.27.0" && (sleeps || grace != "5s"):
		t.Errorf("grace %s, preStop %v: this Kubernetes knows no sleep", grace, sleeps)
	case kube != "v1.27.0" && (!sleeps || container.Lifecycle.PreStop.Sleep.Seconds != 5 || grace != "0s"):
		t.Errorf("grace %s, preStop %v: want a sleep of 5 s alone", grace, container.Lifecycle)
	}
	// Kubernetes' word of a Service called edge is no setting.
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("variables of the namespace's Services would be among the node's settings")
	}
	// Grace, drain, close handshakes.
	if limit := *pod.Spec.TerminationGracePeriodSeconds; limit < 5+30+8 {
		t.Errorf("termination grace %d s, but a stop can take %d s", limit, 5+30+8)
	}
}

// TestPlainYAML: deploy/kubernetes/hydrant.yaml is the chart with its
// defaults. HYDRANT_WRITE=1 writes it.
func TestPlainYAML(t *testing.T) {
	const head = "# Written from deploy/helm/hydrant with its defaults (HYDRANT_WRITE=1 go test\n# -run TestPlainYAML in integration/deploy/schema). Kubernetes 1.30 and later.\n"
	text := head + strings.Join(render(t, "v1.31.0", nil), "---\n")
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
	coherent(t, parse(t, split(strings.TrimPrefix(text, head))), "v1.31.0")
}

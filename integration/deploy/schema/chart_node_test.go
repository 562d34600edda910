package schema

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// binaries of this repository are built once.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	os.RemoveAll(binaries.dir)
	os.Exit(status)
}

func hydrantPath(t *testing.T) string {
	t.Helper()
	binaries.once.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "hydrant-chart-*"); binaries.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(binaries.dir, "hydrant"), "./edge/cmd/hydrant")
		build.Dir = "../../.."
		if out, err := build.CombinedOutput(); err != nil {
			binaries.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return filepath.Join(binaries.dir, "hydrant")
}

// hydrant runs a command with an environment and nothing else, and returns what it says.
func hydrant(t *testing.T, env []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), hydrantPath(t), args...)
	command.Env = append([]string{"EDGE_DATA_DIR=" + t.TempDir()}, env...) // not of this folder
	out, err := command.CombinedOutput()
	if err != nil && len(bytes.TrimSpace(out)) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

// inPod is what a container of the pod has as its environment, and below dir the files of
// its secrets: those that the chart makes, and of others what content says of a key.
func inPod(t *testing.T, pod corev1.PodSpec, made map[string]*corev1.Secret, dir string, content func(secret, key string) string) []string {
	t.Helper()
	value := func(secret, key string) string {
		if s := made[secret]; s != nil {
			text, ok := s.StringData[key]
			if !ok {
				t.Errorf("the chart's secret %s has no %s", secret, key)
			}
			return text
		}
		return content(secret, key)
	}
	mounts := make(map[string]string)
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	for _, v := range pod.Volumes {
		if v.Secret == nil {
			continue
		}
		for _, item := range v.Secret.Items {
			path := filepath.Join(dir, mounts[v.Name], item.Path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(value(v.Secret.SecretName, item.Key)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var env []string
	for _, v := range pod.Containers[0].Env {
		text := v.Value
		if from := v.ValueFrom; from != nil && from.SecretKeyRef != nil {
			text = value(from.SecretKeyRef.Name, from.SecretKeyRef.Key)
		} else if from != nil {
			text = "of-a-config-map"
		}
		if strings.HasPrefix(text, "/etc/hydrant/") {
			text = filepath.Join(dir, text)
		}
		env = append(env, v.Name+"="+text)
	}
	return env
}

// TestNodeTakesTheEnvironment: whatever the values, a node of the rendered pod, and the
// job, read their settings and files without a complaint.
func TestNodeTakesTheEnvironment(t *testing.T) {
	const complaint = "edge: configuration"
	certificate, key := certificate(t)
	content := func(secret, name string) string {
		text, ok := map[string]string{
			"EDGE_ADMIN_TOKEN": "a-token-of-operators",
			"NATS_USER":        "edge", "NATS_PASSWORD": "a-password", "nats.creds": "creds", "nats.nk": "nkey",
			"tls.crt": certificate, "tls.key": key, "ca.crt": certificate,
			"token.key":      strings.Repeat("k", 32),
			"signature.keys": "first-secret-of-signatures\n",
			"http.keys":      `shop a-key-of-the-shop {"services":["orders"]}`,
		}[name]
		if !ok {
			t.Errorf("%s: nobody is told of the key %s", secret, name)
		}
		return text
	}
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			all := parse(t, render(t, v.kube, v.set))
			pods := map[string]corev1.PodSpec{"node": all.deployment.Spec.Template.Spec}
			if all.job != nil {
				pods["setup"] = all.job.Spec.Template.Spec
			}
			for what, pod := range pods {
				env := inPod(t, pod, all.secrets, t.TempDir(), content)
				if says := hydrant(t, env, "healthcheck"); strings.Contains(says, complaint) {
					t.Errorf("%s: %s\nwith %q", what, says, env)
				}
				// It does read them.
				if says := hydrant(t, append(env, "EDGE_WINDOW=1e+06"), "healthcheck"); !strings.Contains(says, complaint+": EDGE_WINDOW") {
					t.Errorf("%s: %s", what, says)
				}
			}
		})
	}
}

// TestRenderedEnvironment: what the values mean is what a node gets.
func TestRenderedEnvironment(t *testing.T) {
	want := map[string][]string{
		"defaults":    {"EDGE_MAILBOX_STREAMS=16", "GOMEMLIMIT=1843MiB", "EDGE_DRAIN_GRACE=0s", "EDGE_DRAIN_TIMEOUT=30s"},
		"old":         {"EDGE_DRAIN_GRACE=5s"},
		"accounts":    {"EDGE_MAX_CONNECTIONS=1000000", "EDGE_RATE_MESSAGES=0.5", "EDGE_COMPRESSION=true"},
		"shared":      {"GOMEMLIMIT=230MiB", "EDGE_DRAIN_TIMEOUT=90s"},
		"tls-ingress": {"EDGE_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8", "OTEL_TRACES_SAMPLER_ARG=0.01"},
		"scaling":     {"GOMAXPROCS=4"},
		"existing-secrets": {"EDGE_AUTH=jwt", "EDGE_SIGNATURE=required", "EDGE_HTTP_API=key",
			"EDGE_AUTH_KEY_FILE=/etc/hydrant/tokens/token.key", "NATS_CREDS=/etc/hydrant/nats/nats.creds"},
	}
	for _, v := range variants(t) {
		all := parse(t, render(t, v.kube, v.set))
		have := make(map[string]bool)
		for _, e := range all.deployment.Spec.Template.Spec.Containers[0].Env {
			have[e.Name+"="+e.Value] = true
		}
		for _, line := range want[v.name] {
			if !have[line] {
				t.Errorf("%s: no %s in %v", v.name, line, have)
			}
		}
	}
}

// TestMemoryLimit: whatever way the limit is written in.
func TestMemoryLimit(t *testing.T) {
	for limit, want := range map[any]string{
		"1Gi": "921MiB", "1.5Gi": "1382MiB", "1000M": "858MiB", 2147483648: "1843MiB", 2147483648.0: "1843MiB", "2147483648": "1843MiB", "600000Ki": "527MiB",
	} {
		all := parse(t, render(t, kube, map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": limit}}}))
		for _, e := range all.deployment.Spec.Template.Spec.Containers[0].Env {
			if e.Name == "GOMEMLIMIT" && e.Value != want {
				t.Errorf("of %v: %s, want %s", limit, e.Value, want)
			}
		}
	}
	own := map[string]any{"env": map[string]any{"GOMEMLIMIT": "1GiB"}}
	coherent(t, parse(t, render(t, kube, own)), kube) // no variable twice
}

package schema

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// coherent checks what types cannot: names that refer to each other, and
// times that must fit.
func coherent(t *testing.T, all *objects, kube string) {
	t.Helper()
	pod := all.deployment.Spec.Template
	selectors(t, all)
	stops(t, pod.Spec, kube)
	restricted(t, "node", pod.Spec)
	filesAreThere(t, "node", pod.Spec)
	if all.job != nil {
		setsUp(t, all)
	}
	if account := pod.Spec.ServiceAccountName; all.account != nil && account != all.account.Name || all.account == nil && account != "default" {
		t.Errorf("service account %q", account)
	}
	if (all.scaler != nil) != (all.deployment.Spec.Replicas == nil) {
		t.Error("the autoscaler and an upgrade would fight for the number of replicas")
	}
	// Kubernetes' word of a Service called edge is no setting.
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("variables of the namespace's Services would be among the node's settings")
	}
}

// selectors: what selects or names something finds it.
func selectors(t *testing.T, all *objects) {
	t.Helper()
	pod := all.deployment.Spec.Template
	name := all.deployment.Name
	ports := make(map[string]bool)
	for _, p := range pod.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	matches := func(what string, selector map[string]string, labels map[string]string) {
		t.Helper()
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, which is %q", what, k, v, labels[k])
			}
		}
	}
	matches("deployment", all.deployment.Spec.Selector.MatchLabels, pod.Labels)
	if len(all.services) != 2 || all.services[name] == nil || all.services[name+"-admin"] == nil {
		t.Fatalf("services %v", all.services)
	}
	for _, s := range all.services {
		matches("service "+s.Name, s.Spec.Selector, pod.Labels)
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.StrVal] {
				t.Errorf("service %s: no port %q", s.Name, p.TargetPort.StrVal)
			}
		}
	}
	if all.disruption != nil {
		matches("disruption budget", all.disruption.Spec.Selector.MatchLabels, pod.Labels)
	}
	if all.policy != nil {
		matches("network policy", all.policy.Spec.PodSelector.MatchLabels, pod.Labels)
	}
	if all.monitor != nil {
		matches("service monitor", all.monitor.Spec.Selector.MatchLabels, all.services[name+"-admin"].Labels)
	}
	if all.scaler != nil && all.scaler.Spec.ScaleTargetRef.Name != name {
		t.Errorf("scales %q", all.scaler.Spec.ScaleTargetRef.Name)
	}
	if all.ingress != nil {
		for _, rule := range all.ingress.Spec.Rules {
			if to := rule.HTTP.Paths[0].Backend.Service; to.Name != name || to.Port.Name != "clients" {
				t.Errorf("%s leads to %+v", rule.Host, to)
			}
		}
	}
}

// stops: a node has the time that it needs to leave.
func stops(t *testing.T, pod corev1.PodSpec, kube string) {
	t.Helper()
	env := make(map[string]string)
	for _, v := range pod.Containers[0].Env {
		env[v.Name] = v.Value
	}
	grace := seconds(t, env["EDGE_DRAIN_GRACE"])
	if sleep := pod.Containers[0].Lifecycle; sleep != nil {
		if kube == oldKube || grace != 0 {
			t.Errorf("a sleep in %s, and %d s of grace", kube, grace)
		}
		grace = int(sleep.PreStop.Sleep.Seconds)
	}
	// Grace, drain, close handshakes.
	if need, limit := grace+seconds(t, env["EDGE_DRAIN_TIMEOUT"])+8, int(*pod.TerminationGracePeriodSeconds); limit < need {
		t.Errorf("termination grace %d s, but a stop can take %d s", limit, need)
	}
}

func seconds(t *testing.T, text string) int {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Error(err)
	}
	return int(d.Seconds())
}

// restricted: the pods fit the profile "restricted" of Kubernetes' pod security
// standards, and write to no file of their image.
func restricted(t *testing.T, what string, pod corev1.PodSpec) {
	t.Helper()
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: %+v", what, s)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: %+v", what, s)
		}
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s has a token of Kubernetes", what)
	}
}

// filesAreThere: each variable that names a file names one of a volume, no name of a
// variable comes twice, and what is secret is no value in a pod.
func filesAreThere(t *testing.T, what string, pod corev1.PodSpec) {
	t.Helper()
	files := make(map[string]bool)
	volumes := make(map[string]corev1.Volume)
	for _, v := range pod.Volumes {
		volumes[v.Name] = v
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		v, ok := volumes[m.Name]
		if !ok {
			t.Errorf("%s: no volume %q", what, m.Name)
		}
		delete(volumes, m.Name)
		if v.Secret != nil {
			for _, item := range v.Secret.Items {
				files[m.MountPath+"/"+item.Path] = true
			}
		}
	}
	if len(volumes) > 0 {
		t.Errorf("%s: nobody mounts %v", what, volumes)
	}
	seen := make(map[string]bool)
	for _, v := range pod.Containers[0].Env {
		if seen[v.Name] {
			t.Errorf("%s: %s comes twice", what, v.Name)
		}
		seen[v.Name] = true
		if strings.HasPrefix(v.Value, "/etc/hydrant/") {
			if !files[v.Value] {
				t.Errorf("%s: %s: nothing makes %s", what, v.Name, v.Value)
			}
			delete(files, v.Value)
		}
		switch v.Name {
		case "NATS_USER", "NATS_PASSWORD", "EDGE_ADMIN_TOKEN", "EDGE_SIGNATURE_KEYS":
			if v.Value != "" || v.ValueFrom.SecretKeyRef == nil || v.ValueFrom.SecretKeyRef.Key != v.Name {
				t.Errorf("%s: %s is %+v", what, v.Name, v)
			}
		}
	}
	if len(files) > 0 {
		t.Errorf("%s: nothing names %v", what, files)
	}
}

// setsUp: the job runs before the nodes, with a user of its own, and takes nothing that
// the chart makes later.
func setsUp(t *testing.T, all *objects) {
	t.Helper()
	job := all.job.Spec.Template.Spec
	restricted(t, "setup", job)
	filesAreThere(t, "setup", job)
	const hook = "pre-install,pre-upgrade"
	if c := job.Containers[0]; strings.Join(c.Args[:2], " ") != "setup -queues" || all.job.Annotations["helm.sh/hook"] != hook {
		t.Errorf("%v, %v", c.Args, all.job.Annotations)
	}
	for name := range secretsOf(job) {
		if made := all.secrets[name]; made != nil && made.Annotations["helm.sh/hook"] != hook {
			t.Errorf("the secret %s comes after the job", name)
		}
	}
	nodes := secretsOf(all.deployment.Spec.Template.Spec)
	for name := range nodes {
		if made := all.secrets[name]; made != nil && made.Annotations["helm.sh/hook"] != "" {
			t.Errorf("the secret %s goes when the job is done", name)
		}
	}
	for name, keys := range secretsOf(job) {
		for key := range keys {
			if strings.HasPrefix(strings.ToUpper(key), "NATS") && nodes[name] != nil {
				t.Errorf("%s of the job and of the nodes is out of %s", key, name)
			}
		}
	}
	if account := job.ServiceAccountName; account != "" {
		t.Errorf("the service account %s is not there yet", account)
	}
}

// secretsOf are the keys that a pod takes of each secret.
func secretsOf(pod corev1.PodSpec) map[string]map[string]bool {
	secrets := make(map[string]map[string]bool)
	add := func(name, key string) {
		if secrets[name] == nil {
			secrets[name] = make(map[string]bool)
		}
		secrets[name][key] = true
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			for _, item := range v.Secret.Items {
				add(v.Secret.SecretName, item.Key)
			}
		}
	}
	for _, v := range pod.Containers[0].Env {
		if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
			add(v.ValueFrom.SecretKeyRef.Name, v.ValueFrom.SecretKeyRef.Key)
		}
	}
	return secrets
}

// TestEgress: the network policy lets nodes reach what their settings name.
func TestEgress(t *testing.T) {
	for name, want := range map[string]string{
		"defaults":     "4222 53/UDP 53/TCP",
		"accounts":     "4222 53/UDP 53/TCP",
		"tls-ingress":  "4223 53/UDP 53/TCP 8443 4318 5353/UDP",
		"made-secrets": "4222 53/UDP 53/TCP",
	} {
		var set map[string]any
		if name != "defaults" {
			set = valuesFile(t, name)
		}
		policy := parse(t, render(t, kube, set)).policy
		if have := egress(policy); have != want {
			t.Errorf("%s: %s, want %s", name, have, want)
		}
	}
	for url, want := range map[string]string{
		"nats://nats": "4222",
		"nats://a:1,tls://b:2, nats://c, wss://d:1": "1 2 4222",
		"nats://u:p@[fd00::1]:4333/":                "4333",
		"nats://u:443@nats":                         "4222",
	} {
		policy := parse(t, render(t, kube, map[string]any{"nats": map[string]any{"url": url}})).policy
		if have := strings.TrimSuffix(egress(policy), " 53/UDP 53/TCP"); have != want {
			t.Errorf("%s: %s, want %s", url, have, want)
		}
	}
	for url, want := range map[string]string{"https://id.example/keys": "443", "http://id.example/a:7": "80", "https://id.example:1/a:7": "1"} {
		policy := parse(t, render(t, kube, map[string]any{"env": map[string]any{"EDGE_AUTH_JWKS_URL": url}})).policy
		if have := strings.TrimPrefix(egress(policy), "4222 53/UDP 53/TCP "); have != want {
			t.Errorf("%s: %s, want %s", url, have, want)
		}
	}
}

func egress(policy *networkingv1.NetworkPolicy) string {
	var ports []string
	for _, rule := range policy.Spec.Egress {
		for _, p := range rule.Ports {
			text := p.Port.String()
			if p.Protocol != nil {
				text += "/" + string(*p.Protocol)
			}
			ports = append(ports, text)
		}
	}
	return strings.Join(ports, " ")
}

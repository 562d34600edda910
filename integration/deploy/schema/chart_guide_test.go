package schema

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/strvals"
	corev1 "k8s.io/api/core/v1"
)

// TestGuideInstalls: the values of the guide's `helm install` are the chart's, the job
// registers the service of the guide, and the secrets that the guide makes are those that
// the pods ask for, out of files that `hydrant setup nats` writes.
func TestGuideInstalls(t *testing.T) {
	guide := read(t, "../../../deploy/README.md")
	_, guide, _ = strings.Cut(guide, "\n## Kubernetes\n")
	_, guide, _ = strings.Cut(guide, "```sh\n")
	guide, _, _ = strings.Cut(guide, "```")
	guide = strings.ReplaceAll(guide, "\\\n", " ")

	dir := t.TempDir()
	setup := regexp.MustCompile(`(?m)^hydrant (setup nats .*)$`).FindStringSubmatch(guide)
	if setup == nil {
		t.Fatalf("no users are made in\n%s", guide)
	}
	args := strings.Fields(setup[1])
	at := slices.Index(args, "-dir") + 1
	written := args[at] + "/"
	args[at] = dir
	hydrant(t, nil, args...)

	made := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^kubectl create secret generic (\S+) --from-(env-)?file=(\S+)$`).FindAllStringSubmatch(guide, -1) {
		if key, _, is := strings.Cut(m[3], "="); is {
			made[m[1]] = []string{key}
			continue
		}
		file, ours := strings.CutPrefix(m[3], written)
		if !ours {
			t.Errorf("%s is in no folder of setup", m[3])
		}
		made[m[1]] = slices.Sorted(maps.Keys(variables(t, filepath.Join(dir, file))))
	}

	install := regexp.MustCompile(`(?m)^helm install hydrant deploy/helm/hydrant (.*)$`).FindStringSubmatch(guide)
	if install == nil {
		t.Fatalf("nothing is installed in\n%s", guide)
	}
	set := make(map[string]any)
	for _, m := range regexp.MustCompile(`--set(-file)? '?([^' ]+)'?`).FindAllStringSubmatch(install[1], -1) {
		var err error
		if m[1] == "" {
			err = strvals.ParseInto(m[2], set)
		} else {
			err = strvals.ParseIntoFile(m[2], set, func(file []rune) (any, error) {
				text, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(string(file), written)))
				return string(text), err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := parse(t, render(t, kube, set))
	if all.config == nil || all.config.Data["accounts.conf"] != read(t, dir, "accounts.conf") {
		t.Error("the rights are not those that setup has written")
	}
	if args := all.job.Spec.Template.Spec.Containers[0].Args; args[len(args)-1] != "echo" {
		t.Errorf("the job: %q", args)
	}
	wanted := secretsOf(all.job.Spec.Template.Spec)
	maps.Copy(wanted, secretsOf(all.deployment.Spec.Template.Spec))
	for name, keys := range wanted {
		if want := slices.Sorted(maps.Keys(keys)); !slices.Equal(made[name], want) {
			t.Errorf("the secret %s has %q in the guide, and pods ask for %q", name, made[name], want)
		}
		delete(made, name)
	}
	if len(made) > 0 {
		t.Errorf("no pod asks for %v", made)
	}
}

// TestNewSecretsNewPods: nodes start again for another secret of the chart, since most
// are read once, and for nothing else.
func TestNewSecretsNewPods(t *testing.T) {
	sum := func(change func(map[string]any)) string {
		set := valuesFile(t, "made-secrets")
		change(set)
		return parse(t, render(t, kube, set)).deployment.Spec.Template.Annotations["checksum/secrets"]
	}
	before := sum(func(map[string]any) {})
	token := sum(func(set map[string]any) {
		part(set, "admin")["secretData"] = map[string]any{"EDGE_ADMIN_TOKEN": "another-token-of-operators"}
	})
	job := sum(func(set map[string]any) { part(set, "setup")["queues"] = []any{"other"} })
	if before == "" || token == before || job != before {
		t.Errorf("%q, with another token %q, with another queue %q", before, token, job)
	}
}

// kubectlTarget is what a line of kubectl is for, with the port that it asks for.
var kubectlTarget = regexp.MustCompile(`kubectl\b.*?\b(deployment|service)/(\S+)(?: \d+:(\d+))?`)

// TestNotesReachWhatIsThere: each line of kubectl that helm prints at the end is for an
// object that the same values make, on a port that it has, and runs what
// the image has.
func TestNotesReachWhatIsThere(t *testing.T) {
	for _, v := range variants(t) {
		files, err := renderFiles(v.kube, v.set)
		if err != nil {
			t.Fatal(err)
		}
		all := parse(t, render(t, v.kube, v.set))
		lines := regexp.MustCompile(`(?m)^.*kubectl.*$`).FindAllString(files["hydrant/templates/NOTES.txt"], -1)
		if len(lines) == 0 {
			t.Errorf("%s: no line of kubectl", v.name)
		}
		for _, line := range lines {
			m := kubectlTarget.FindStringSubmatch(line)
			if m == nil {
				t.Errorf("%s: %s: for what?", v.name, line)
				continue
			}
			switch m[1] {
			case "deployment":
				if all.deployment.Name != m[2] {
					t.Errorf("%s: %s: the deployment is %s", v.name, line, all.deployment.Name)
				}
			case "service":
				service := all.services[m[2]]
				if service == nil || !slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return strconv.Itoa(int(port.Port)) == m[3] }) {
					t.Errorf("%s: %s: there is no such service or port", v.name, line)
				}
			}
			if _, command, is := strings.Cut(line, " -- "); is && strings.Fields(command)[0] != "/hydrant" {
				t.Errorf("%s: %s: the image has no such program", v.name, line)
			}
		}
	}
}

package schema

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/strvals"
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

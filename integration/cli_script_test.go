package integration

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// Each command has help, whatever it is asked with, which is no mistake, and fits a
// terminal of 80 columns.
func TestCommandLineHelp(t *testing.T) {
	t.Parallel()
	listed := regexp.MustCompile(`(?m)^  ([a-z]+) +\S`).FindAllStringSubmatch(mustRun(t, "", nil, "help"), -1)
	commands := [][]string{{}, {"setup", "nats"}, {"policy", "check"}, {"completion", "bash"}}
	for _, name := range listed {
		commands = append(commands, []string{name[1]})
	}
	if len(commands) < 14 {
		t.Errorf("commands are %v", commands)
	}
	asked := [][]string{{"help", "config"}, {"help", "help"}}
	for _, command := range commands {
		for _, help := range []string{"-h", "-help", "--help"} {
			if len(command) > 0 || help != "-help" {
				asked = append(asked, append(command[:len(command):len(command)], help))
			}
		}
	}
	for _, args := range asked {
		out, problems, err := hydrant(t, "", nil, args...)
		if status := exitStatus(t, err); status != 0 || problems != "" || out == "" {
			t.Errorf("hydrant %v: status %d\n%s%s", args, status, out, problems)
		}
		for line := range strings.Lines(out) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("hydrant %v: wider than a terminal: %s", args, line)
			}
		}
	}
}

// The exit status tells what failed from what was asked in a wrong way.
func TestCommandLineStatus(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{
		"version": 0, "help": 0, "completion bash": 0,
		"nonsense": 2, "version x": 2, "completion bash x": 2, "help setup x": 2, "version -x": 2, "help nonsense": 2, "sessions -limit 0": 2, "doctor x": 2, "completion": 2, "completion csh": 2, "setup nats x": 2,
		"sessions": 1, "doctor": 1, "healthcheck": 1, "setup": 1, "sign": 1,
	} {
		out, problems, err := hydrant(t, "", []string{"NATS_URL=nats://127.0.0.1:1", "EDGE_ADMIN_LISTEN=127.0.0.1:1"}, strings.Fields(args)...)
		if status := exitStatus(t, err); status != want || want != 0 && problems == "" {
			t.Errorf("hydrant %s: status %d, want %d\n%s%s", args, status, want, out, problems)
		}
	}
}

// What scripts read is one JSON document on standard output, also where checks fail.
func TestCommandLineJSON(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	env := []string{"NATS_URL=" + w.NATS.URL()}
	var list struct {
		Sessions []struct {
			Session, State, Node, Opened string
			Behind                       *uint64
		}
		More  *bool
		Tails []any
	}
	text := mustRun(t, "", env, "sessions", "-json", "-limit", "100000")
	if err := json.Unmarshal([]byte(text), &list); err != nil || list.More == nil || list.Tails == nil {
		t.Fatalf("%v: %s", err, text)
	}
	found := false
	for _, s := range list.Sessions {
		if s.Session == shortID(c.ID) {
			found = s.State != "" && s.Node != "" && s.Opened != "" && s.Behind != nil
		}
	}
	if !found {
		t.Errorf("%s is not in %s", shortID(c.ID), text)
	}
	for _, test := range []struct {
		url    string
		status int
	}{{"nats://127.0.0.1:1", 1}} {
		out, problems, err := hydrant(t, "", []string{"NATS_URL=" + test.url}, "doctor", "-json")
		var report struct {
			Failed int
			Checks []struct{ Verdict, What, Detail string }
		}
		if status := exitStatus(t, err); status != test.status || json.Unmarshal([]byte(out), &report) != nil || report.Failed == 0 || len(report.Checks) == 0 || !strings.Contains(problems, "failed: ") {
			t.Errorf("doctor: status %d\n%s%s", status, out, problems)
		}
		for _, check := range report.Checks {
			if check.Verdict == "" || check.What == "" || check.Detail == "" {
				t.Errorf("a check without words: %+v", check)
			}
		}
	}
}

// What takes its time says so on standard error, and standard output has the result alone.
func TestCommandLineSaysWhatItIsAt(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a server that says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	out, problems, err := hydrant(t, "", []string{"NATS_URL=nats://" + silent.Addr().String()}, "doctor", "-json")
	if status := exitStatus(t, err); status != 1 || !strings.Contains(problems, "checking; ") || !json.Valid([]byte(out)) {
		t.Errorf("status %d\n%s%s", status, out, problems)
	}
}

// What no node takes is not signed.
func TestCommandLineSignsMessagesOnly(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"", "{}", "7", `{"to":"svc:/"}`, `{"to":"svc:/","frm":"client:/"}`, `{"frm":"client:/","bdy":1}`, `{"to":"svc:/","frm":"client:/","bdy":0}`, `{"to":"svc:/","bdy":1}`} {
		out, problems, err := hydrant(t, message, []string{"UMF_SECRET=" + world.SigningKey}, "sign")
		if status := exitStatus(t, err); status != 1 || out != "" || !strings.Contains(problems, "not a UMF message") {
			t.Errorf("%s: status %d\n%s%s", message, status, out, problems)
		}
	}
}

// The shell completes what the program has.
func TestCompletion(t *testing.T) {
	t.Parallel()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"hydrant se":              "serve send setup sessions",
		"hydrant doctor -":        "-json",
		"hydrant sessions -l":     "-limit",
		"hydrant help con":        "config",
		"hydrant setup na":        "nats",
		"hydrant setup nats -s":   "-services -shared",
		"hydrant setup -":         "-queues",
		"hydrant policy check -u": "-user",
		"hydrant completion ":     "bash",
		"hydrant nonsense -":      "",
		"hydrant setup -queues ":  "",
	} {
		script := mustRun(t, "", nil, "completion", "bash") + `
read -ra COMP_WORDS <<<"$1"
case $1 in *" ") COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_hydrant
echo "${COMPREPLY[*]}"`
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script, "bash", typed)
		cmd.Env = []string{"PATH=" + filepath.Dir(bin.Hydrant) + ":/usr/bin:/bin"}
		problems := &strings.Builder{}
		cmd.Stderr = io.Writer(problems)
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want || problems.String() != "" {
			t.Errorf("%q: %q, want %q: %v %s", typed, got, want, err, problems)
		}
	}
}

package integration

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// doctor runs `hydrant doctor` and returns its lines and exit status.
func doctor(t *testing.T, env ...string) (string, int) {
	t.Helper()
	out, problems, err := hydrant(t, "", env, "doctor")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out + problems, exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return out, 0
}

// The doctor finds nothing wrong where nodes run, and says what is wrong where
// they cannot.
func TestDoctor(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	c := world.Dial(t, node)
	url := "NATS_URL=" + w.NATS.URL()
	said, status := doctor(t, url, "EDGE_MAILBOX_STREAMS=2")
	for _, line := range strings.Split(strings.TrimSpace(said), "\n") {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "warn ") {
			t.Errorf("line %q", line)
		}
	}
	for _, what := range []string{"NATS: nats-server 2.", "JetStream: enabled", "streams: 5 of 5 hold", "permissions: ", "clock: ", "descriptors: ", "largest message: ", "replicas: 1", "power loss: 1 copy", "admin listener: 127.0.0.1:9353"} {
		if !strings.Contains(said, what) {
			t.Errorf("nothing of %q in:\n%s", what, said)
		}
	}
	if status != 0 {
		t.Errorf("status %d", status)
	}
	c.Quiet()

	for name, test := range map[string]struct {
		env  []string
		want []string
	}{
		"other partitions":  {[]string{url, "EDGE_MAILBOX_STREAMS=4"}, []string{"FAIL stream UMF_OUT_0: subjects", "creates at its start: UMF_OUT_2"}},
		"too many replicas": {[]string{url, "EDGE_MAILBOX_STREAMS=2", "EDGE_STREAM_REPLICAS=3"}, []string{"FAIL replicas", "needs a NATS cluster"}},
		"descriptors":       {[]string{url, "EDGE_MAILBOX_STREAMS=2", "EDGE_MAX_CONNECTIONS=100000000"}, []string{"FAIL descriptors"}},
		"no administrator":  {[]string{"NATS_URL=nats://127.0.0.1:1", "EDGE_ADMIN_LISTEN=:9353"}, []string{"warn admin listener", "set EDGE_ADMIN_TOKEN"}},
		"nobody":            {[]string{"NATS_URL=nats://127.0.0.1:1"}, []string{"FAIL NATS: "}},
		"bad settings":      {[]string{url, "EDGE_NONSENSE=1"}, []string{"EDGE_NONSENSE"}},
	} {
		said, status := doctor(t, test.env...)
		for _, want := range test.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: nothing of %q in:\n%s", name, want, said)
			}
		}
		if status != 1 {
			t.Errorf("%s: status %d, want 1:\n%s", name, status, said)
		}
	}
}

// R15, for an operator who asks.
func TestDoctorWithoutJetStream(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{NoStore: true})
	if said, status := doctor(t, "NATS_URL="+w.NATS.URL()); status != 1 || !strings.Contains(said, "FAIL JetStream") || !strings.Contains(said, "-js") {
		t.Errorf("status %d:\n%s", status, said)
	}
	if _, problems, err := hydrant(t, "", []string{"NATS_URL=" + w.NATS.URL()}, "sessions"); err == nil || !strings.Contains(problems, "JetStream is not enabled") {
		t.Errorf("sessions: %v, %s", err, problems)
	}
}

// A configuration with NATS inside the process, while no node runs: there is
// nothing to look at but this machine, and the doctor starts nothing.
func TestDoctorWithoutNode(t *testing.T) {
	t.Parallel()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	if said, status := doctor(t, "EDGE_NATS_LISTEN="+addr); status != 0 || !strings.Contains(said, "\nwarn NATS") || !strings.Contains(said, "ok   admin listener") {
		t.Errorf("status %d:\n%s", status, said)
	}
}

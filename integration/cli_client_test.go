package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// exitStatus is that of a command that has ended.
func exitStatus(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// What became of messages is the exit status of `hydrant send`, and with -json its lines.
func TestCommandLineSendStatus(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	url, echo := w.Node(t, "a").URL("/"), w.EchoService(t)
	away := world.Dial(t, w.Node(t, "a"))
	away.Close()
	silent := w.Serve(t, world.Unique(t))
	for _, test := range []struct {
		args   string
		status int
		first  string // outcome, as JSON
	}{
		{"-to " + echo + ":/", 0, "accepted"},
		{"-to " + echo + ":[GET]/x -count 2 -interval 1ms", 0, "accepted"},
		{"-to " + away.ID + "@client:/", 0, "accepted"},
		{"-to nobody:/", 3, "no_instances"},
		{"-to nobody:[GET]/x -count 2 -interval 1ms", 3, "no_instances"},
		{"-to silent:/ -count 0", 0, ""},
		{"-to echo:/ -url ws://127.0.0.1:1", 1, ""},
		{"-to echo:/ -url " + strings.Replace(url, "ws://", "http://", 1), 2, ""},
	} {
		args := append([]string{"send", "-json", "-wait", "1ms", "-url", url}, strings.Fields(test.args)...)
		out, problems, err := hydrant(t, "", nil, args...)
		if status := exitStatus(t, err); status != test.status {
			t.Errorf("%s: status %d, not %d\n%s%s", test.args, status, test.status, out, problems)
		}
		var outcomes []string
		for line := range strings.Lines(out) {
			var told struct{ Mid, Outcome string }
			if err := json.Unmarshal([]byte(line), &told); err != nil {
				t.Errorf("%s: %v in %s", test.args, err, line)
			} else if told.Outcome != "" {
				outcomes = append(outcomes, told.Outcome)
			}
		}
		if test.first == "" && len(outcomes) == 0 {
			continue
		}
		if n := 1 + strings.Count(test.args, "-count 2"); len(outcomes) != n || slices.ContainsFunc(outcomes, func(is string) bool { return is != test.first }) {
			t.Errorf("%s: outcomes %v, not %d times %s\n%s", test.args, outcomes, n, test.first, out)
		}
	}
	silent.Empty()
}

// listening is a `hydrant listen` with both of its outputs.
type listening struct {
	t          *testing.T
	p          *harness.Process
	out, about *harness.Log
}

func startListening(t *testing.T, args ...string) *listening {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	// The harness has one output for both streams.
	l := &listening{t: t, out: &harness.Log{}}
	l.about = l.out
	l.p, err = harness.StartProcess("listen", bin.Hydrant, append([]string{"listen", "-json"}, args...), nil, l.out, io.Writer(l.out))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.p.Kill)
	return l
}

// numbers waits for so many messages, and returns their bodies.
func (l *listening) numbers(count int) (all []int) {
	l.t.Helper()
	l.until(func() error {
		all = nil
		for line := range bytes.Lines(l.out.Since(0)) {
			var m struct{ Bdy *int }
			if json.Unmarshal(line, &m) == nil && m.Bdy != nil {
				all = append(all, *m.Bdy)
			}
		}
		if len(all) < count {
			return fmt.Errorf("%d of %d messages came", len(all), count)
		}
		return nil
	})
	return all
}

func (l *listening) until(do func() error) {
	l.t.Helper()
	if err := harness.Until(world.Patient(l.t), func() error {
		select {
		case <-l.p.Exited():
			l.t.Fatalf("ended: %v\n%s", l.p.Err(), l.out.Tail(4096))
		default:
		}
		return do()
	}); err != nil {
		l.t.Fatalf("%v\n%s", err, l.out.Tail(4096))
	}
}

var connectedAs = regexp.MustCompile(`(?m)^connected as (\S+)\nresume secret (\S+)$`)

// C27: `hydrant listen` comes back when its node is killed, prints each message once and in
// order, confirms what it has printed and nothing else, and ends with status 0 when it is
// told to.
func TestCommandLineListen(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	l := startListening(t, "-show-secret", "-url", a.URL("/")+","+b.URL("/"))
	var as [][]byte
	l.until(func() error {
		if as = connectedAs.FindSubmatch(l.about.Since(0)); as == nil {
			return errors.New("not connected")
		}
		return nil
	})
	sid, secret := string(as[1]), string(as[2])
	w.PushNumbers(t, sid, 0, 20)
	l.numbers(20)
	a.Kill()
	w.PushNumbers(t, sid, 20, 40)
	for i, n := range l.numbers(40) {
		if i != n {
			t.Fatalf("message %d is %d", i, n)
		}
	}
	if err := l.p.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := l.p.Err(); err != nil {
		t.Errorf("interrupted: %v\n%s", err, l.out.Tail(4096))
	}
	w.PushNumbers(t, sid, 40, 50)
	again := startListening(t, "-url", b.URL("/"), "-resume", sid, "-token", secret)
	if all := again.numbers(10); all[0] != 40 || len(all) != 10 {
		t.Errorf("what was not confirmed: %v", all)
	}
	if bytes.Contains(again.out.Since(0), []byte("secret")) {
		t.Errorf("nobody has asked for a secret: %s", again.out.Since(0))
	}
	if err := again.p.Terminate(world.Patient(t)); err != nil {
		t.Errorf("terminated: %v", err)
	}
}

// What ends `hydrant listen` before its time is its exit status.
func TestCommandLineListenStatus(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	url := w.Node(t, "guarded").URL("/")
	c := world.Dial(t, w.Node(t, "guarded"))
	for status, args := range map[int][]string{
		1: {"-url", "ws://127.0.0.1:1"},
		2: {"-url", "localhost"},
		3: {"-url", url, "-resume", c.ID, "-token", "wrong"},
	} {
		_, problems, err := hydrant(t, "", nil, append([]string{"listen"}, args...)...)
		if is := exitStatus(t, err); is != status {
			t.Errorf("%v: status %d\n%s", args, is, problems)
		}
	}
	l := startListening(t, "-show-secret", "-url", url)
	var as [][]byte
	l.until(func() error {
		if as = connectedAs.FindSubmatch(l.about.Since(0)); as == nil {
			return errors.New("not connected")
		}
		return nil
	})
	startListening(t, "-url", url, "-resume", string(as[1]), "-token", string(as[2]))
	if status := exitStatus(t, l.p.Err()); status != 1 || !bytes.Contains(l.out.Since(0), []byte("4501")) {
		t.Errorf("taken over: status %d\n%s", status, l.out.Tail(4096))
	}
}

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process has the clock of its machine. libfaketime changes that for programs
// that ask libc; Go asks the kernel's vDSO itself, and Linux' time namespaces shift
// only the clocks that nobody sets. So the nodes whose clock is to jump are built
// with another package time, in which Now adds what a file says. Timers go by the
// monotonic clock, as they do when a real one is set.

// clockFile names the file, for a node with a clock of its own.
const clockFile = "HYDRANT_CLOCK"

// ErrClock is returned where the package time of this Go is not the one that the
// change was written for.
var ErrClock = errors.New("harness: package time cannot be given another clock")

const (
	clockAt   = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	clockThen = "\tsec, nsec, mono := runtimeNow()\n\tsec += HydrantSkew.Load()\n\tif mono == 0 {\n"
	clockVar  = "\n// HydrantSkew are the seconds that Now adds.\nvar HydrantSkew atomic.Int64\n"
	clockMain = `package main

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	set := func() {
		text, _ := os.ReadFile(os.Getenv("` + clockFile + `"))
		seconds, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		time.HydrantSkew.Store(seconds)
	}
	set()
	go func() {
		for range signals {
			set()
		}
	}()
}
`
)

// BuildWithClock builds hydrant into dir so that a node's clock can be set
// ([Node.SetClock]). It takes a minute the first time: everything that uses package
// time is compiled anew.
func BuildWithClock(dir string) (path string, err error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	library, text, err := packageTime()
	if err != nil {
		return "", err
	}
	changed, ok := withClock(text)
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrClock, library)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{
		library: filepath.Join(dir, "time.go"),
		filepath.Join(root, "edge", "cmd", "hydrant", "clock_overlay.go"): filepath.Join(dir, "clock.go"),
	}}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"time.go": changed, "clock.go": clockMain, "overlay.json": string(list)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path = filepath.Join(dir, "hydrant-clock")
	return path, goBuild(root, "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, "./edge/cmd/hydrant")
}

// packageTime is the file of the library that has Now.
func packageTime() (name, text string, err error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", "", err
	}
	name = filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	content, err := os.ReadFile(name)
	return name, string(content), err
}

// withClock changes the text of package time; false: it is not as expected.
func withClock(text string) (changed string, ok bool) {
	const imports = "import (\n"
	if strings.Count(text, clockAt) != 1 || strings.Count(text, imports) != 1 {
		return "", false
	}
	text = strings.Replace(text, clockAt, clockThen, 1)
	return strings.Replace(text, imports, imports+"\t\"sync/atomic\"\n", 1) + clockVar, true
}

// SetClock sets the clock of a node that was built for that so much before the
// machine's, or behind it. It stays so when the node is started again.
func (n *Node) SetClock(ahead time.Duration) error {
	text := strconv.FormatInt(int64(ahead/time.Second), 10)
	if err := os.WriteFile(n.o.Env[clockFile], []byte(text), 0o600); err != nil {
		return err
	}
	return n.Signal(syscall.SIGUSR2)
}

// WithClock adds to a node's variables the file that its clock is read from.
func WithClock(env map[string]string, file string) { env[clockFile] = file }

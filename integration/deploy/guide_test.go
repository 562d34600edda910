package deploy

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// walked says for each command of the operations guide, by its beginning, what runs it at the
// state that the guide describes, or why nothing can.
var walked = []struct{ begins, by string }{
	{"docker-compose up --build", notHere + "images from elsewhere; TestDockerGuide does it without --build"},
	{"docker-compose --profile monitoring", notHere + "images from elsewhere"},
	{"go run ./edge/cmd/hydrant send", "TestDockerGuide"},
	{"deploy/docker/build.sh", "TestDockerGuide"},
	{"HYDRANT_HAPROXY_IMAGE=", "TestDockerGuide"},
	{"umask 077; cp -r", "TestDockerGuide"},
	{"hydrant setup nats -dir /etc/hydrant", "TestDockerGuide"},
	{"head -c 32 /dev/urandom", "TestDockerGuide"},
	{"chown -R", "TestDockerGuide"},
	{"export HYDRANT_NATS_DIR", "TestDockerGuide"},
	{"docker-compose up --no-build -d --scale", "TestDockerGuide"},
	{"docker-compose kill -s SIGHUP", "TestDockerGuide"},
	{"docker-compose ps", "TestDockerGuide"},
	{"for edge in $(docker-compose ps -q edge); do docker exec", "TestDockerGuide"},
	{"edge=", "TestDockerGuide"},
	{"docker exec \"$edge\" /hydrant doctor", "TestDockerGuide"},
	{"docker exec --env-file", "TestDockerGuide"},
	{"docker-compose logs", "TestDockerGuide"},
	{"address()", "TestDockerGuide"},
	{"curl -H \"Authorization: Bearer $(cat ${HYDRANT_ADMIN_TOKEN_FILE", "TestDockerGuide"},
	{"export NATS_URL=nats://$(address $(docker-compose ps -q nats-1)):4222 $(cat", "TestDockerGuide"},
	{"nats stream report", "TestDockerGuide"},
	{"export HYDRANT_IMAGE", "TestDockerGuide"},
	{"for edge in $(docker-compose ps -q edge); do\n", "TestDockerGuide"},
	{"for server in", "TestDockerGuide"},
	{"nats account backup", "TestDockerGuide"},
	{"docker-compose down", "TestDockerGuide"},
	{"docker-compose up --no-build -d nats-1", "TestDockerGuide"},
	{"export NATS_URL=nats://$(address $(docker-compose ps -q nats-1)):4222", "TestDockerGuide"},
	{"until nats account info", "TestDockerGuide"},
	{"nats account restore", "TestDockerGuide"},
	{"docker-compose restart nats-1", "TestDockerGuide"},
	{"hydrant setup nats -dir deploy/nats", "TestDockerGuide"},
	{"nats consumer rm", "TestDockerGuide"},
	{"nats stream purge", "TestDockerGuide"},
	{"nats stream cluster", "TestDockerGuide"},
	{"nats kv get", "TestDockerGuide"},
	{"printf %s ID", "TestDockerGuide"},

	{"NATS_URL=nats://localhost:4222 EDGE_LISTEN=:5354 ./hydrant serve", "TestGuideNode"},
	{"hydrant serve", "TestGuideNode"},
	{"umask 077; head", "TestGuideNode"},
	{"curl -H \"Authorization: Bearer $(cat operators.token)\" -X POST", "TestGuideNode"},
	{"curl -H \"Authorization: Bearer $(cat operators.token)\" -o cpu", "TestGuideNode"},
	{"hydrant policy check -rules", "TestGuideNode"},
	{"hydrant policy check -file", "TestGuideNode"},
	{"hydrant size", "TestGuideNode"},
	{"hydrant help", "TestGuideNode"},
	{"hydrant doctor", "TestGuideNode"},
	{"hydrant sessions", "TestGuideNode"},
	{"hydrant healthcheck -ready", "TestGuideNode"},

	{"hydrant setup nats -dir nats", "TestGuideInstalls"},
	{"hydrant setup nats", "TestWrittenBySetup"},
	{"hydrant setup", "TestWorkOfServices"},
	{"kubectl create secret", "TestGuideInstalls"},
	{"helm install", "TestGuideInstalls"},
	{"kubectl rollout restart", notHere + "no cluster"},
	{"helm upgrade", notHere + "no cluster"},
	{"go run ./integration/chaos/cmd/chaos -recovery", "TestGuideHasRecoveries"},
	{"go run ./integration/bench -only", "TestGuideMeasures"},
	{"go test -run xxx -bench", "TestGuideMeasures"},
	{"hydrant send -secret", notHere + "a former way, which the guide says is gone"},
}

const notHere = "not run: "

// A guide is deploy/README.md, of which each command is taken as it stands there.
type guide struct{ commands []string }

var (
	fence    = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	codeSpan = regexp.MustCompile("`([^`]+)`")
	program  = regexp.MustCompile(`^(\./)?(hydrant|nats|docker|docker-compose|kubectl|helm|go|curl|printf) \S`)
	remark   = regexp.MustCompile(`\s{2,}#.*$`)
)

// readGuide takes the commands out of a text: the lines of its shell blocks, where one that
// goes on is one, and so is a loop; and the spans that name a program with arguments.
func readGuide(text string) *guide {
	g := &guide{}
	add := func(command string) {
		if !slices.Contains(g.commands, command) {
			g.commands = append(g.commands, command)
		}
	}
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] != "sh" {
			continue
		}
		command, loop := "", false
		for line := range strings.Lines(block[2]) {
			line = remark.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
			if loop {
				loop = line != "done"
			} else {
				loop = strings.HasPrefix(line, "for ") && !strings.HasSuffix(line, "; done")
			}
			command += line
			if loop || strings.HasSuffix(line, `\`) {
				command += "\n"
				continue
			}
			add(command)
			command = ""
		}
	}
	for _, span := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if command := strings.Join(strings.Fields(span[1]), " "); program.MatchString(command) {
			add(command)
		}
	}
	return g
}

func theGuide(t *testing.T) *guide {
	t.Helper()
	return readGuide(read(t, deployed(t, "README.md")))
}

// entryOf is which line of walked speaks of a command: the one that has most of it.
func entryOf(command string) (at int) {
	at = -1
	for i, entry := range walked {
		if strings.HasPrefix(command, entry.begins) && (at < 0 || len(entry.begins) > len(walked[at].begins)) {
			at = i
		}
	}
	return at
}

// of are the commands that a line of walked speaks of.
func (g *guide) of(begins string) (commands []string) {
	for _, command := range g.commands {
		if at := entryOf(command); at >= 0 && walked[at].begins == begins {
			commands = append(commands, command)
		}
	}
	return commands
}

// TestGuideIsWalked: each command of the guide is run by a test, which exists, or cannot be
// run, and why; and each that a test runs is in the guide.
func TestGuideIsWalked(t *testing.T) {
	g := theGuide(t)
	for _, command := range g.commands {
		if entryOf(command) < 0 {
			t.Errorf("nothing runs, and walked does not name\n\t%s", command)
		}
	}
	for _, entry := range walked {
		if len(g.of(entry.begins)) == 0 {
			t.Errorf("the guide has no command that begins with %q", entry.begins)
		}
		if !strings.HasPrefix(entry.by, notHere) && !strings.Contains(testsBelow(t), "\nfunc "+entry.by+"(t *testing.T)") {
			t.Errorf("%q: there is no %s", entry.begins, entry.by)
		}
	}
}

// testsBelow is the text of the tests that may run a command.
func testsBelow(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range []string{".", "schema", "../chaos", "../chaos/cmd/chaos"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			all.WriteString(read(t, file))
		}
	}
	return all.String()
}

// TestGuideMeasures: the benchmarks that the guide names are there.
func TestGuideMeasures(t *testing.T) {
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	groups := read(t, filepath.Join(root, "integration/bench/main.go"))
	for _, command := range theGuide(t).of("go run ./integration/bench -only") {
		for _, name := range strings.Split(strings.Fields(command)[4], ",") {
			if !strings.Contains(groups, fmt.Sprintf("{%q, ", name)) {
				t.Errorf("%s: there is no %s", command, name)
			}
		}
	}
	for _, command := range theGuide(t).of("go test -run xxx -bench") {
		words := strings.Fields(command)
		files, err := filepath.Glob(filepath.Join(root, words[6], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			return regexp.MustCompile(`(?m)^func Benchmark\w*` + words[5] + `\w*\(`).MatchString(read(t, file))
		}) {
			t.Errorf("%s: there is no such benchmark", command)
		}
	}
}

func TestReadGuide(t *testing.T) {
	text := "`hydrant doctor` and `hydrant`, `a  b`, `nats kv get\n<sid>`\n```json\n{}\n```\n```sh\na b    # why\nfor x in y; do\n  for z in u; do v; done\ndone\nfor w in x; do y; done\nc \\\n  d\n```\n"
	want := []string{"a b", "for x in y; do\n  for z in u; do v; done\ndone", "for w in x; do y; done", "c \\\n  d", "hydrant doctor", "nats kv get <sid>"}
	if got := readGuide(text).commands; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A walk runs commands of the guide, one after the other in one shell, with nothing changed
// but addresses, folders and what the guide leaves open.
type walk struct {
	t       *testing.T
	guide   *guide
	by      string // the test
	replace *strings.Replacer
	in      io.Writer
	out     *bufio.Scanner
	ran     map[string]bool
}

// startWalk starts the shell in a folder; it ends with the test.
func startWalk(t *testing.T, by, dir string, env []string, replace ...string) *walk {
	t.Helper()
	shell := exec.Command("bash") // of no context: what a test cleans up is done in it too
	shell.Dir, shell.Env = dir, append(os.Environ(), env...)
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	shell.Stdout, shell.Stderr = to, to
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	_ = to.Close()
	t.Cleanup(func() {
		_ = in.Close()
		_ = shell.Process.Kill() // if it is at a command still
		_ = shell.Wait()
		_ = from.Close()
	})
	w := &walk{t: t, guide: theGuide(t), by: by, replace: strings.NewReplacer(replace...), in: in, out: bufio.NewScanner(from), ran: make(map[string]bool)}
	w.out.Buffer(nil, 1<<24)
	return w
}

// shell runs a command of the test's own and returns what it says, and its status.
func (w *walk) shell(command string) (text string, status int) {
	w.t.Helper()
	const end = "-- status of the command: "
	if _, err := fmt.Fprintf(w.in, "{ %s\n} </dev/null\nstatus=$?; echo; echo '%s'$status\n", command, end); err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for w.out.Scan() {
		if rest, is := strings.CutPrefix(w.out.Text(), end); is {
			if _, err := fmt.Sscan(rest, &status); err != nil {
				w.t.Fatal(err)
			}
			return strings.TrimSuffix(all.String(), "\n"), status
		}
		all.WriteString(w.out.Text() + "\n")
	}
	w.t.Fatalf("the shell has ended in %s: %v\n%s", command, w.out.Err(), all.String())
	return "", 0
}

// try runs the commands of the guide that a line of walked speaks of; replace fills in what
// they leave open.
func (w *walk) try(begins string, replace ...string) (text string, status int) {
	w.t.Helper()
	w.ran[begins] = true
	commands := w.guide.of(begins)
	if len(commands) == 0 {
		w.t.Fatalf("the guide has no command that begins with %q", begins)
	}
	for _, command := range commands {
		said, code := w.shell(strings.NewReplacer(replace...).Replace(w.replace.Replace(command)))
		text, status = text+said, max(status, code)
	}
	return text, status
}

// must is try for what has to end well.
func (w *walk) must(begins string, replace ...string) string {
	w.t.Helper()
	text, status := w.try(begins, replace...)
	if status != 0 {
		w.t.Fatalf("%s\nended with %d:\n%s", strings.Join(w.guide.of(begins), "\n"), status, text)
	}
	return text
}

// says is must for what has to say something.
func (w *walk) says(begins, what string, replace ...string) {
	w.t.Helper()
	if text := w.must(begins, replace...); !strings.Contains(text, what) {
		w.t.Errorf("%s\ndoes not say %q:\n%s", strings.Join(w.guide.of(begins), "\n"), what, text)
	}
}

// finish tells what the test did not run, although walked says that it does.
func (w *walk) finish() {
	w.t.Helper()
	for _, entry := range walked {
		if entry.by == w.by && !w.ran[entry.begins] {
			w.t.Errorf("%s was not run", entry.begins)
		}
	}
}

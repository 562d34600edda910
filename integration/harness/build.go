package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Binaries are the paths of the programs that tests run.
type Binaries struct {
	Hydrant string
	Natsd   string
}

// ErrBuild reports that the programs could not be built.
var ErrBuild = errors.New("harness: the programs under test do not build")

var builds = sync.OnceValues(build)

// buildDir is where build put the binaries, for [Shutdown] to remove; empty
// when HYDRANT_TEST_BIN provided them. Written once, by build.
var buildDir string

// Build returns the programs, which it builds at its first call. It may be
// called from several goroutines.
func Build() (Binaries, error) { return builds() }

func build() (Binaries, error) {
	if dir := os.Getenv("HYDRANT_TEST_BIN"); dir != "" {
		return binariesIn(dir), nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return Binaries{}, err
	}
	dir, err := os.MkdirTemp("", "hydrant-bin-")
	if err != nil {
		return Binaries{}, err
	}
	buildDir = dir
	bin := binariesIn(dir)
	for path, of := range map[string]string{bin.Hydrant: "./edge/cmd/hydrant", bin.Natsd: "./integration/harness/natsd"} {
		// What go run has linked it keeps for the next package of tests; go build does not.
		if err := goDo("run", root, "-exec", "cp", of, path); err != nil {
			return Binaries{}, err
		}
	}
	return bin, nil
}

// BuildVersion builds hydrant once more, stamped with a version, into dir. The
// stamp is all in which it differs from what [Build] returns.
func BuildVersion(dir, version string) (path string, err error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "hydrant-"+version)
	return path, goBuild(root, "-ldflags", "-X hydrant/edge.Version="+version, "-o", path, "./edge/cmd/hydrant")
}

// Change is a text that a file of the module has once, and what is to stand there.
type Change struct{ File, Old, New string }

// ErrChange reports that a file is not as a change wants it.
var ErrChange = errors.New("harness: the text to be changed is not there once")

// BuildChanged builds hydrant with changes and stamped with a version, into dir: what
// a later version may be.
func BuildChanged(dir, version string, changes []Change) (path string, err error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	texts := make(map[string]string)
	for _, c := range changes {
		if texts[c.File] == "" {
			text, err := os.ReadFile(filepath.Join(root, c.File))
			if err != nil {
				return "", err
			}
			texts[c.File] = string(text)
		}
		if n := strings.Count(texts[c.File], c.Old); n != 1 {
			return "", fmt.Errorf("%w, but %d times, in %s: %q", ErrChange, n, c.File, c.Old)
		}
		texts[c.File] = strings.Replace(texts[c.File], c.Old, c.New, 1)
	}
	replace := make(map[string]string)
	for file, text := range texts {
		to := filepath.Join(dir, fmt.Sprintf("changed-%d.go", len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "hydrant-"+version)
	return path, goBuild(root, "-overlay", at, "-ldflags", "-X hydrant/edge.Version="+version, "-o", path, "./edge/cmd/hydrant")
}

// ErrNoCommit reports that there is no such commit in the history that is here.
var ErrNoCommit = errors.New("harness: the history that is here does not have the commit")

// BuildCommit builds hydrant as it was at a commit of this repository, into dir.
func BuildCommit(dir, commit string) (path string, err error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	git := func(args ...string) *exec.Cmd { // git does not read a repository of another user, unless it is told to
		return exec.Command("git", append([]string{"-c", "safe.directory=*", "-C", root}, args...)...)
	}
	if out, err := git("cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s: %w: %s", ErrNoCommit, commit, err, out)
	}
	archive := filepath.Join(dir, "tree.tar")
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", err
	}
	for _, cmd := range []*exec.Cmd{git("archive", "-o", archive, commit), exec.Command("tar", "-x", "-f", archive, "-C", tree)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", cmd, err, out)
		}
	}
	path = filepath.Join(dir, "hydrant-"+commit)
	return path, goBuild(tree, "-o", path, "./edge/cmd/hydrant")
}

func goBuild(root string, args ...string) error { return goDo("build", root, args...) }

func goDo(what, root string, args ...string) error {
	all := []string{what, "-buildvcs=false"} // git does not tell of a repository of another user
	if RaceEnabled {
		all = append(all, "-race")
	}
	cmd := exec.Command("go", append(all, args...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %w\n%s", ErrBuild, err, out)
	}
	return nil
}

func binariesIn(dir string) Binaries {
	return Binaries{Hydrant: filepath.Join(dir, "hydrant"), Natsd: filepath.Join(dir, "natsd")}
}

// ModuleRoot returns the directory of go.mod, found upwards from the working
// directory (a test's is its package's).
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("harness: no go.mod above the working directory")
		}
		dir = parent
	}
}

// Shutdown kills every process that is still running and removes the
// binaries. TestMain calls it last; it returns what the processes did wrong
// while nobody looked (see [Process.Faults]).
func Shutdown() []string {
	faults := killAll()
	if buildDir != "" {
		if err := os.RemoveAll(buildDir); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	if err := goBuild(root, "-o", dir+string(filepath.Separator), "./edge/cmd/hydrant", "./integration/harness/natsd"); err != nil {
		return Binaries{}, err
	}
	return binariesIn(dir), nil
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

func goBuild(root string, args ...string) error {
	all := []string{"build", "-buildvcs=false"} // git does not tell of a repository of another user
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

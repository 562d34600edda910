package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrDataDirInUse: another server has the data directory. It comes together
// with [ErrStart].
var ErrDataDirInUse = errors.New("another server uses the data directory")

// lockName is the file in the data directory that a running server has locked.
const lockName = "hydrant.lock"

// lockDataDir makes the directory, if it is missing, and takes it for this
// server. The system gives it back when the process ends, however it ends.
func lockDataDir(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: data directory: %w", ErrStart, err)
	}
	lock := flock.New(filepath.Join(dir, lockName))
	switch taken, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("%w: data directory: %w", ErrStart, err)
	case !taken:
		return nil, fmt.Errorf("%w: %w: %s", ErrStart, ErrDataDirInUse, dir)
	}
	return lock, nil
}

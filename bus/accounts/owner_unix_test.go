//go:build unix

package accounts

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hydrant/bus/scheme"
)

// TestWrittenFilesKeepTheirOwner: what root writes for servers that run as another user is
// that user's: files that were there, new ones, and those in the folder of the users.
func TestWrittenFilesKeepTheirOwner(t *testing.T) {
	owner := os.Geteuid() // whoever is not root can only give to himself
	if owner == 0 {
		owner = 65532
	}
	dir := t.TempDir()
	give := func(path string) {
		if err := os.Chown(path, owner, -1); err != nil {
			t.Fatal(err)
		}
	}
	give(dir)
	for _, services := range [][]scheme.Service{{"a"}, {"a", "b"}} {
		if err := (&Config{Services: services}).Write(dir); err != nil {
			t.Fatal(err)
		}
		if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != owner {
				t.Errorf("with %v %s belongs to %d, not %d", services, path, uid, owner)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

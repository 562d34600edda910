package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWrittenBySetup: what deploy/nats has of accounts, passwords and users is what
// `hydrant setup nats` writes, to the letter: docker-compose.yml and the chart take it from
// there.
func TestWrittenBySetup(t *testing.T) {
	from, dir := deployed(t, "nats"), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	hydrant(t, nil, "setup", "nats", "-dir", dir, "-services", "echo")
	files := func(root string) map[string]string {
		all := make(map[string]string)
		if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			inside, err := filepath.Rel(root, path)
			all[inside] = read(t, path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	have, want := files(from), files(dir)
	for name, text := range want {
		if have[name] != text {
			t.Errorf("deploy/nats/%s is another: run `hydrant setup nats -dir deploy/nats -services echo`", name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("deploy/nats/%s is not written any more", name)
		}
	}
	for _, user := range []string{"edge", "setup", "admin", "sys", "echo"} {
		if have["users/"+user+".env"] == "" {
			t.Errorf("no user %s", user)
		}
	}
}

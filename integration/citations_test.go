package integration

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"hydrant/integration/harness"
)

// citation is a document that is not in the repository. (The pattern does not
// find itself.)
var citation = regexp.MustCompile(`\b(D[E]SIGN|F[A]ILURES|H[Y]DRA|S[T]YLE|C[A]SES|T[R]UST)\b|\b(H[O]USE|O[W]NERSHIP|R[E]SUME|C[L]IENT|S[T]ORE)\.md\b`)

// unread are folders that are not part of the repository.
var unread = []string{".git", "node_modules", ".ci/bin", "hydrant-data"}

// TestCitations: what a comment or a document rests on is in the repository, or
// public, as an RFC is.
func TestCitations(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	const largest = 1 << 20
	if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(unread, filepath.ToSlash(inside)) || slices.Contains(unread, entry.Name()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil // .git of a worktree
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > largest {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			if cited := citation.Find(line); cited != nil {
				t.Errorf("%s:%d cites %s, which is not in the repository", inside, number, cited)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCitation(t *testing.T) {
	t.Parallel()
	for text, cited := range map[string]bool{
		"// see D" + "ESIGN §5": true, "(F" + "AILURES R5)": true, "H" + "YDRA.md": true, "S" + "TYLE rule 4": true,
		"EDGE_TRUSTED_PROXIES": false, "Hydra's design": false, "FAULTS.md": false, "HYDRANT_SEED": false, "RESUME token": false,
	} {
		if got := citation.MatchString(text); got != cited {
			t.Errorf("%q: %v", text, got)
		}
	}
}

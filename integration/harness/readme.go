package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// heading begins a section, or a part of one.
var heading = regexp.MustCompile(`(?m)^###? `)

// ReadmeCode returns the code of a section of README.md, or of a part of one, as it
// stands there: the first block of a language. What a reader would copy is what is
// tested.
func ReadmeCode(section, language string) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(text), "# "+section+"\n")
	if end := heading.FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	_, code, found := strings.Cut(rest, "\n```"+language+"\n")
	code, _, closed := strings.Cut(code, "\n```\n")
	if !found || !closed {
		return "", fmt.Errorf("harness: README.md has no %s under %q", language, section)
	}
	return code + "\n", nil
}

// Replaced is ReadmeCode with one text, which has to be there once, in place of
// another: the address of a server.
func Replaced(code, old, text string) (string, error) {
	if n := strings.Count(code, old); n != 1 {
		return "", fmt.Errorf("harness: %q is there %d times in:\n%s", old, n, code)
	}
	return strings.Replace(code, old, text, 1), nil
}

package config

import (
	"fmt"
	"os"
	"strings"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/policy"
)

// HTTPKey is a line of EDGE_HTTP_KEYS_FILE.
type HTTPKey struct {
	Name  string // of who has it
	Key   string
	Rules string // the rule set, as it stands there; "": none
}

// minSecret is the least length of a secret (bytes): what is shorter is guessed.
const minSecret = 16

// readHTTPKeys reads lines of a name, a key and, where it is there, a rule set, with
// blanks or a comma between them. Empty lines, and those that begin with #, are passed
// over. No error shows a key.
func readHTTPKeys(file string) ([]HTTPKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var keys []HTTPKey
	names, secrets := make(map[string]bool), make(map[string]bool)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k := HTTPKey{}
		k.Name, line = cutWord(line)
		k.Key, k.Rules = cutWord(line)
		switch {
		case !scheme.ValidName(k.Name):
			return nil, fmt.Errorf("line %d has no name ([A-Za-z0-9_-], at most 64)", number)
		case len(k.Key) < minSecret:
			return nil, fmt.Errorf("line %d: the key of %s is shorter than %d characters", number, k.Name, minSecret)
		case names[k.Name], secrets[k.Key]:
			return nil, fmt.Errorf("line %d: the name or the key of %s is there twice", number, k.Name)
		}
		if k.Rules != "" {
			if _, err := policy.Parse(k.Rules); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
		}
		names[k.Name], secrets[k.Key] = true, true
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no key is in it")
	}
	return keys, nil
}

// cutWord takes the first word off a line, and what stands between it and the next.
func cutWord(line string) (word, rest string) {
	end := strings.IndexAny(line, " \t,")
	if end < 0 {
		return line, ""
	}
	rest = strings.TrimLeft(line[end:], " \t")
	return line[:end], strings.TrimLeft(strings.TrimPrefix(rest, ","), " \t")
}

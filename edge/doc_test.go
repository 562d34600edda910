package edge

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"hydrant/edge/internal/wire"
)

// TestCodesAreDocumented keeps every code that a client may get in the package's
// documentation.
func TestCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, clients, _ := strings.Cut(string(text), "// # Clients\n")
	clients, _, _ = strings.Cut(clients, "// # ")
	codes := append(closeCodeNames(), problemCodes[:]...)
	for _, code := range []int{wire.CodeProtocolError, wire.CodeInvalidData, wire.CodeTooBig, wire.CodeRate, wire.CodeSlow} {
		codes = append(codes, strconv.Itoa(code))
	}
	for _, code := range codes {
		if !strings.Contains(clients, code) {
			t.Errorf("%s is missing", code)
		}
	}
}

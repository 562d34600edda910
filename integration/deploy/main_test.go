package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
)

func TestMain(m *testing.M) {
	fmt.Printf("HYDRANT_SEED=%d\n", harness.Seed())
	code := m.Run()
	complaints := harness.Shutdown()
	if err := goleak.Find(harness.IgnoreSpawner()); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, complaint := range complaints {
		fmt.Println("after all tests:", complaint)
		code = max(code, 1)
	}
	os.Exit(code)
}

// deployed is the path of a file in deploy/.
func deployed(t *testing.T, name string) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "deploy", name)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

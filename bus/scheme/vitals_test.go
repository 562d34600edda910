package scheme

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestVitals: each member is there, under the name that Hydra's health has for it.
func TestVitals(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := json.Marshal(VitalsOf(started, started.Add(1500*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sampledOn": "2026-01-02T03:04:06.500Z", "processID": float64(os.Getpid()), "architecture": runtime.GOARCH,
		"platform": runtime.GOOS, "nodeVersion": runtime.Version(), "uptimeSeconds": 1.5,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	memory, _ := got["memory"].(map[string]any)
	for _, name := range []string{"rss", "heapTotal", "heapUsed", "external", "arrayBuffers"} {
		n, ok := memory[name].(float64)
		if !ok || n < 0 || name == "heapUsed" && n == 0 || name == "rss" && n == 0 && runtime.GOOS == "linux" {
			t.Errorf("memory.%s is %v", name, memory[name])
		}
	}
	if memory["heapUsed"].(float64) > memory["heapTotal"].(float64) {
		t.Errorf("more of the heap is used than there is: %v", memory)
	}
}

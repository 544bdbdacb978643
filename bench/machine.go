package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is where and when a run was.
type machine struct {
	Date       string `json:"date"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql,omitempty"`
	Load       string `json:"load_average,omitempty"` // over 1, 5 and 15 min, before the run
}

func thisMachine() machine {
	return machine{
		Date:  time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		CPU:   processor(),
		Cores: runtime.NumCPU(),
		OS:    runtime.GOOS + "/" + runtime.GOARCH,
		Go:    runtime.Version(),
		Load:  loadAverage(),
	}
}

func (m machine) String() string {
	s := fmt.Sprintf("%s, %s (%s), %s, %s", m.Date, count(m.Cores, "core"), m.CPU, m.OS, m.Go)
	if m.PostgreSQL != "" {
		s += ", PostgreSQL " + m.PostgreSQL
	}
	if m.Load != "" {
		s += ", load average before the run " + m.Load
	}
	return s
}

// loadAverage is known on Linux only.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) >= 3 {
		return strings.Join(fields[:3], " ")
	}
	return ""
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

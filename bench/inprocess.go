package main

import (
	"context"
	"fmt"
	"net/http"
)

// inProcess calls the handler without a network in between, to measure the handler's own work alone.
func inProcess(ctx context.Context, x subject, v *service) ([]worker, func() error, error) {
	var workers []worker
	for range clients {
		p := &caller{handler: mux(x), requests: make([]*http.Request, v.tenants)}
		for i, id := range v.ids {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/"+string(id)+"/", http.NoBody)
			if err != nil {
				return nil, nil, err
			}
			if x.tokens != nil {
				r.Header.Set("Authorization", "Bearer "+x.tokens[i])
			}
			p.requests[i] = r
		}
		workers = append(workers, p)
	}
	return workers, func() error { return nil }, nil
}

// caller has requests of its own, because a mux writes into them.
type caller struct {
	handler  http.Handler
	requests []*http.Request // one for each tenant
}

func (c *caller) do(_ context.Context, tenant int) error {
	w := &discard{header: make(http.Header), status: http.StatusOK}
	c.handler.ServeHTTP(w, c.requests[tenant])
	if w.status != http.StatusOK {
		return fmt.Errorf("status %d", w.status)
	}
	return nil
}

func (c *caller) close() {}

// discard is a ResponseWriter that keeps the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stripeDouble keeps customers as Stripe does: it honours Idempotency-Key, also after the customer was deleted.
type stripeDouble struct {
	*httptest.Server
	created func(name string) // called for each create request, after the customer is made

	mu        sync.Mutex // guards the maps
	byKey     map[string]string
	customers map[string]string // id -> tenant
	names     map[string]string // id -> name
	lost      map[string]int    // key -> answers that were lost
}

// newStripeDouble starts a double. The first three answers about a church with "lost" in its name never arrive: the
// customer is made, and the program does not learn of it.
func newStripeDouble(t *testing.T) *stripeDouble {
	t.Helper()
	d := &stripeDouble{
		created: func(string) {}, byKey: map[string]string{}, customers: map[string]string{},
		names: map[string]string{}, lost: map[string]int{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/customers", d.create)
	mux.HandleFunc("DELETE /v1/customers/{id}", d.delete)
	d.Server = httptest.NewServer(mux)
	d.Config.SetKeepAlivesEnabled(false) // or net/http would repeat by itself a request that a used connection lost
	t.Cleanup(d.Close)
	return d
}

func (d *stripeDouble) env() map[string]string {
	return map[string]string{"STRIPE_API_KEY": "sk_test_123", "STRIPE_API_BASE": d.URL}
}

func (d *stripeDouble) create(w http.ResponseWriter, r *http.Request) {
	key, name := r.Header.Get("Idempotency-Key"), r.PostFormValue("name")
	if key == "" || r.Header.Get("Authorization") != "Bearer sk_test_123" {
		http.Error(w, `{"error":{"type":"invalid_request_error"}}`, http.StatusUnauthorized)
		return
	}
	d.mu.Lock()
	id, known := d.byKey[key]
	if !known {
		id = fmt.Sprintf("cus_%d", len(d.byKey)+1)
		d.byKey[key], d.customers[id], d.names[id] = id, r.PostFormValue("metadata[tenant]"), name
	}
	lose := strings.Contains(name, "lost") && d.lost[key] < 3
	if lose {
		d.lost[key]++
	}
	d.mu.Unlock()
	d.created(name)
	if lose {
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "object": "customer"})
}

func (d *stripeDouble) delete(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := r.PathValue("id")
	if _, ok := d.customers[id]; !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"resource_missing"}}`))
		return
	}
	delete(d.customers, id)
	_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "object": "customer", "deleted": true})
}

// left returns the ids of the customers there are.
func (d *stripeDouble) left() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.customers))
}

// of returns a customer's tenant and name.
func (d *stripeDouble) of(id string) (tenant, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.customers[id], d.names[id]
}

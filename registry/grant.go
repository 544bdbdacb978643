package registry

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// move brings what this process may open to a server towards its part of total. Less is done first and written down
// second, more is written down first and done second: at each moment the registry's number is at least what is open.
//
// It goes by what the registry has, not by what this process has heard: the answer to the last change may have been
// lost.
func (s *Share) move(ctx context.Context, server string, b budget, part int) error {
	_, known := s.granted[server]
	s.granted[server] = b.granted
	if part > b.granted || !known {
		if err := s.grow(ctx, server, b.total, part); err != nil {
			return err
		}
	}
	limit := min(part, s.granted[server])
	open := s.b.SetMaxConns(server, limit)
	s.starved.note(ctx, server, limit)
	return s.shrink(ctx, server, max(part, open))
}

// shrink writes down that this process has let go of what is above n.
func (s *Share) shrink(ctx context.Context, server string, n int) error {
	if n >= s.granted[server] {
		return nil
	}
	_, err := s.r.db.Exec(ctx, fmt.Sprintf("let go of connections to %q", server),
		`UPDATE pgtenancy.router_conns SET granted = $3 WHERE server = $1 AND router = $2`, server, s.id, n)
	if err == nil {
		s.granted[server] = n
	}
	return err
}

// grow takes what is free of total, up to part. The row of turns is locked first, so that two processes never take the
// same connections.
func (s *Share) grow(ctx context.Context, server string, total, part int) error {
	n := s.granted[server]
	err := s.r.db.InTx(ctx, fmt.Sprintf("take connections to %q", server), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE pgtenancy.router_turn SET turn = turn + 1 WHERE id = 1`); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRow(ctx, `SELECT coalesce(sum(granted), 0) FROM pgtenancy.router_conns
			WHERE server = $1 AND router <> $2`, server, s.id).Scan(&others); err != nil {
			return err
		}
		n = max(min(part, total-others), s.granted[server])
		_, err := tx.Exec(ctx, `INSERT INTO pgtenancy.router_conns (server, router, granted) VALUES ($1, $2, $3)
			ON CONFLICT (server, router) DO UPDATE SET granted = $3`, server, s.id, n)
		return err
	})
	if err == nil {
		s.granted[server] = n
	}
	return err
}

// abandon lifts the limit for servers whose budget is no longer declared.
func (s *Share) abandon(ctx context.Context, budgets map[string]budget) error {
	for server := range s.granted {
		if _, declared := budgets[server]; declared {
			continue
		}
		if _, err := s.r.db.Exec(ctx, fmt.Sprintf("abandon budget of %q", server),
			`DELETE FROM pgtenancy.router_conns WHERE server = $1 AND router = $2`, server, s.id); err != nil {
			return err
		}
		delete(s.granted, server)
		s.starved.forget(server)
		s.b.SetMaxConns(server, -1)
	}
	return nil
}

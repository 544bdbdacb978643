package main

import (
	"errors"
	"io/fs"
	"slices"
)

// renew returns the report at path with the figures of one benchmark replaced by those of r; r itself if there was
// nothing. A short run renews nothing: its figures are not worth quoting.
func (r *report) renew(path, only string) (*report, error) {
	old, err := readReport(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Short && !old.Short {
		return nil, errors.New("a short run of one benchmark must not go among the figures of a long one")
	}
	old.Figures = slices.DeleteFunc(old.Figures, func(f figure) bool { return f.Benchmark == only })
	old.Figures = append(old.Figures, r.Figures...)
	if old.Renewed == nil {
		old.Renewed = make(map[string]machine)
	}
	old.Renewed[only] = r.Machine
	return old, nil
}

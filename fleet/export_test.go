package fleet

// StopLoop ends one loop, as no caller can.
func (f *Fleet) StopLoop(name string) {
	for _, p := range []*part{f.sharing, f.following, f.reconciling} {
		if p.name == name {
			p.stop()
			<-p.done
		}
	}
}

ALTER TABLE organizations ADD COLUMN moved boolean NOT NULL DEFAULT false;

CREATE FUNCTION refuse_moved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	changed record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
	PERFORM FROM organizations WHERE id = changed.org AND NOT moved FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'this organization has moved' USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	RETURN changed;
END $$;

CREATE TRIGGER refuse_moved BEFORE INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION refuse_moved();
CREATE TRIGGER refuse_moved BEFORE INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION refuse_moved();

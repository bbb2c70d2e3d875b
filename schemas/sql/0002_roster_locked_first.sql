-- Whoever changes the roster takes its lock before any other, as an enrolment does. Taken last, by the
-- trigger that counts the version, it let a suspension or a withdrawn consent cross an enrolment in the
-- opposite order, and be given up as a deadlock: a revocation must not fail for that.

CREATE FUNCTION roster_locked_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM roster_version FOR UPDATE;
    RETURN NULL;
END $$;
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON people
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON templates
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON access_points
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON access_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON profile_access_points
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON person_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();

-- Up Migration
-- Keys that could do everything can do everything again.
update api_key set scopes = scopes || array['title:read', 'title:write', 'upload:write', 'job:read', 'job:write',
    'playback:read', 'playback:write']
  where scopes @> array['channel:read', 'channel:write', 'streamer:read', 'streamer:write', 'key:read', 'key:write']
    and not 'title:read' = any(scopes);

-- Down Migration
update api_key set scopes = array(select scope from unnest(scopes) as scope
    where scope not in ('title:read', 'title:write', 'upload:write', 'job:read', 'job:write', 'playback:read',
      'playback:write'));

if mine and state == 'D' and till > now then return {1} end
return {0}

#pragma once

u32 misspelt_type();
